"""Secrets that are printed in every way: no file, page, note or line of ours shows them."""

import codecs
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pyrage

from e2e.program import NOTES, Program
from e2e.systems import document, resource, site
from headwater.store.lock import holder_of
from local_cloud import wait_until

OWN = "own-canary-4f1c'9e72$6b"
SEALED = "age-canary-83d0-line-1\nage-canary-83d0-line-2"
TOKEN = "made-canary-on-the-machine"  # noqa: S105  # looked for
CREDENTIAL = "cloud-canary-5a17"
CANARIES = [OWN, *SEALED.split("\n"), TOKEN, CREDENTIAL]

RECIPE = rf"""#!/bin/bash
own=$(ss-get own)
sealed=$(ss-get sealed)
token=$(printf %s '{codecs.encode(TOKEN, "rot13")}' | tr a-z n-za-m)
ss-set token "$token" || exit 3
set -x
: "$own" "$sealed" "$token"
set +x
echo "$own" "$sealed"; echo "$token" >&2
printf %s "$own" | base64; printf 'admin:%s\n' "$own" | base64; echo "$sealed" | base64
printf %s "${{own:0:9}}"; sleep 0.3; printf '%s\n' "${{own:9}}"
for n in $(seq 2000); do echo "$n $token"; done
ss-display "using $own"
ss-set note "see $own" && exit 4
ss-get "$own" && exit 5
touch "$HOME/waits"
until [ -e "$HOME/go" ]; do sleep 0.05; done
case $(ss-get mode) in
  fails) echo "cannot log in with $own" >&2; exit 7 ;;
  aborts) ss-abort "no use for $own"; sleep 1000 ;;
esac
"""
READER = """#!/bin/sh -e
[ "$(ss-get token)" = "$(ss-get maker:token)" ]
! ss-get maker:own
"""


def deployment(name: str, mode: str) -> dict[str, object]:
    secrets = {"own": {"secret": "own"}, "sealed": {"secret": "folder/sealed"}, "mode": mode}
    nodes = {
        "maker": {"component": "maker", "inputs": secrets},
        "reader": {"component": "reader", "inputs": {"token": {"from": "maker.token"}}},
    }
    return dict(resource("Deployment", name, {"cloud": "local", "nodes": nodes}))


def manifests(level: str) -> dict[str, str]:
    secret = {"type": "secret"}
    maker = {
        "image": "host",
        "inputs": {"own": secret, "sealed": secret, "mode": {}},
        "outputs": {"token": secret, "note": {}},
        "recipes": {"deploy": RECIPE},
    }
    reader = {"image": "host", "inputs": {"token": secret}, "recipes": {"deploy": READER}}
    lab = resource("Cloud", "lab", {"driver": "dummy", "credentials": "lab"})
    nodes = {"one": {"component": "reader", "inputs": {"token": {"secret": "own"}}}}
    image = resource("Image", "host", {"platform": "debian", "ids": {"local": "host", "lab": "x"}})
    return site(level) | {
        "images/host.toml": document(image),
        "systems/all.toml": document(
            resource("Component", "maker", maker),
            resource("Component", "reader", reader),
            *(deployment(mode, mode) for mode in ("works", "fails", "aborts")),
            lab,
            resource("Deployment", "elsewhere", {"cloud": "lab", "nodes": nodes}),
        ),
    }


def plant(program: Program) -> dict[str, str]:
    """The secrets of every kind; the environment with which the controller reads them."""
    own = program.state / "secrets"
    own.mkdir(parents=True)
    (own / "own").write_text(OWN + "\n")
    (own / "lab.toml").write_text(f'creds = "{CREDENTIAL}"\nnonsense = "{CREDENTIAL}"\n')
    identity = pyrage.x25519.Identity.generate()
    key = program.state.parent / "identity"
    key.write_text(str(identity))
    for file in (key, own / "own", own / "lab.toml"):
        file.chmod(0o600)
    sealed = pyrage.encrypt(SEALED.encode(), [identity.to_public()])
    program.repository.write({"folder/sealed.age": sealed})
    return {"HEADWATER_AGE_IDENTITY": str(key)}


def shown_by_verbs(program: Program) -> Iterator[tuple[str, bytes]]:
    names = ("works", "fails", "aborts", "elsewhere")
    for arguments in (
        ("status",),
        ("status", "-o", "json"),
        ("local", "list", "-o", "json"),
        ("validate", "."),
        ("plan", "--repo", "."),
        *(verb for name in names for verb in (("params", name), ("params", name, "-o", "json"))),
        *(("status", name) for name in names),
        *(("logs", name) for name in names[:3]),
    ):
        ended = program.verb(*arguments)
        yield " ".join(arguments), (ended.out + ended.err).encode()
    holder = holder_of(program.state)
    assert holder is not None
    for page in (
        "metrics",
        "api/v1/status",
        *(f"api/v1/deployments/{n}/parameters" for n in names),
    ):
        with urlopen(f"{holder.listen}/{page}") as answer:  # noqa: S310  # our own
            yield page, answer.read()
    notes = program.repository.git("log", "-p", "--format=%B", NOTES)
    yield "notes", notes.encode()


def kept_in_files(program: Program) -> Iterator[tuple[str, bytes]]:
    """All that we write: not what a person has planted, nor what recipes write themselves."""
    for folder, _, names in os.walk(program.state):
        inside = Path(folder).relative_to(program.state).parts
        ours = "local" not in inside or {"headwater", ".headwater"} & {*inside}
        for path in (Path(folder, name) for name in names if ours and "secrets" not in inside):
            if path.is_file():
                yield str(path.relative_to(program.state)), path.read_bytes()
    yield "the controller's log", program.log.read_bytes()


def arguments_of_processes() -> Iterator[tuple[str, bytes]]:
    for process in Path("/proc").glob("[0-9]*"):
        for file in ("cmdline", "environ"):
            try:
                yield f"{process}/{file}", (process / file).read_bytes()
            except OSError:
                continue


def hits(shown: Iterator[tuple[str, bytes]]) -> list[str]:
    return [
        f"{where}: {canary}"
        for where, content in shown
        for canary in CANARIES
        if canary.encode() in content
    ]


def test_no_canary_is_shown_or_kept_anywhere(program: Program):
    environment = plant(program)
    program.repository.commit(manifests(program.level))
    program.start(**environment)
    makers = [
        program.layout.home(program.until_running(name, "maker.1").machine)
        for name in ("works", "fails", "aborts")
    ]
    wait_until(lambda: all((home / "waits").exists() for home in makers), "all have printed")

    assert hits(arguments_of_processes()) == []
    for home in makers:
        (home / "go").touch()
    program.until_ready("works")
    stalled = {n: program.until_stalled(n).condition("Stalled") for n in ("fails", "aborts")}
    elsewhere = program.until_stalled("elsewhere")

    assert "cannot log in with ***" in str(stalled["fails"])
    assert "no use for ***" in str(stalled["aborts"])
    assert "nonsense" in str(elsewhere.conditions)
    logs = program.said("logs", "works", "maker")
    assert logs.count("***") > 2000
    assert "would show a secret" in logs
    shown = program.parameters("works")
    maker = {name: shown["maker.1"][name] for name in ("own", "sealed", "token", "note")}
    hidden = "(secret)"
    assert maker == {"own": hidden, "sealed": hidden, "token": hidden, "note": None}
    assert shown["reader.1"]["token"] == hidden
    assert hits(shown_by_verbs(program)) == []
    assert hits(kept_in_files(program)) == []


def put(file: Path, text: str) -> None:
    """Whole at once: half a secret is another secret."""
    draft = file.with_suffix(".draft")
    draft.write_text(text)
    draft.chmod(0o600)
    draft.replace(file)


def test_a_secret_that_comes_late_and_is_renewed_reaches_its_reader(program: Program):
    """Without a commit: the controller looks at its directory with every listing."""
    secret = program.state / "secrets" / "late"
    secret.parent.mkdir(parents=True)
    kind = {
        "image": "host",
        "inputs": {"late": {"type": "secret"}},
        "recipes": {"deploy": '#!/bin/sh -e\nss-get late >>"$HOME/read"\n'},
    }
    nodes = {"one": {"component": "box", "inputs": {"late": {"secret": "late"}}}}
    program.repository.commit(
        site(program.level)
        | {
            "box.toml": document(
                resource("Component", "box", kind),
                resource("Deployment", "box", {"cloud": "local", "nodes": nodes}),
            )
        }
    )
    program.start(HEADWATER_RESYNC="0.5s")
    stalled = program.until_stalled("box").condition("Stalled")
    planned = program.verb("plan", "--repo", ".")
    assert not program.machines()

    put(secret, "first secret\n")
    ready = program.until(
        lambda status: next((d for d in status.deployments if d.is_ready), None), "box is ready"
    )
    read = program.layout.home(ready.instances[0].machine) / "read"
    put(secret, "second secret\n")
    both = "first secret\nsecond secret\n"
    wait_until(lambda: read.read_text() == both, "it is read again")

    assert stalled is not None
    assert stalled.reason == "SecretUnavailable"
    assert f"write it to {secret} (mode 600)" in stalled.message
    assert stalled.message in planned.out
