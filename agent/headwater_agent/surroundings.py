"""What the agent finds and leaves on its machine, outside of the journal."""

import os
import sys

from headwater_agent.blocks import maintain
from headwater_agent.journal import replace

VERBS = (
    "get",
    "get-all",
    "set",
    "abort",
    "cancel-abort",
    "display",
    "random",
    "hosts",
    "machinefile",
)
REPORTS = "reports"
"""Below the agent's root: what recipes leave there is collected."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def write_launchers(root: str) -> None:
    """`bin/headwater-get` and its kin: links to one launcher with everything looked up."""
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
    launcher = '#!/bin/sh\nexec %s -I -S -E %s verb %s "${0##*/}" "$@"\n' % (
        _quoted(sys.executable),
        _quoted(program),
        _quoted(root),
    )
    os.makedirs("bin", exist_ok=True)
    replace("bin/headwater-verb", os.fsencode(launcher), 0o755)
    for verb in VERBS:
        for name in ("headwater-" + verb, "ss-" + verb):
            try:  # noqa: SIM105  # contextlib is slow to import
                os.symlink("headwater-verb", "bin/" + name)
            except FileExistsError:
                pass


def remove_other_programs(digest: str) -> None:
    """Earlier versions: whoever still runs one has read all of it."""
    others = [name for name in os.listdir("agent") if name != digest] if digest else []
    if others:
        import shutil  # noqa: PLC0415  # slow, and needed once per upgrade

        for name in others:
            shutil.rmtree("agent/" + name, ignore_errors=True)


def environment(root: str, extra: "list[list[str]]") -> "dict[bytes, bytes]":
    """What a step sees: a short PATH with the verbs first, HOME, the context's own words.

    HEADWATER_* of the login goes through: it tells whose processes these are.
    """
    found = {name: value for name, value in os.environb.items() if name.startswith(b"HEADWATER_")}
    found[b"PATH"] = os.fsencode(search_path(root))
    found[b"HOME"] = os.environb.get(b"HOME", b"/")
    for name, value in extra:
        found[_encoded(name)] = _encoded(value)
    found[b"HEADWATER_HOSTS"] = os.fsencode(root + "/hosts")
    found[b"HEADWATER_REPORT_DIR"] = os.fsencode(root + "/" + REPORTS)
    found[b"SLIPSTREAM_REPORT_DIR"] = found[b"HEADWATER_REPORT_DIR"]
    return found


def search_path(root: str) -> str:
    """The login's own, completed: a login over SSH often lacks the administrator's places."""
    places = [root + "/bin"] + [p for p in os.environ.get("PATH", "").split(":") if p]
    return ":".join(places + [place for place in PATH.split(":") if place not in places])


def write_hosts(lines: "list[str]") -> None:
    """`hosts`, and our block of the machine's own hosts file where it has one. Raises OSError."""
    encoded = [_encoded(line) for line in lines]
    replace("hosts", b"".join(line + b"\n" for line in encoded), 0o644)
    base = os.environ.get("HEADWATER_ROOT", "")
    own = base + "/etc/hosts"
    told = os.environ.get("HEADWATER_OWN_HOSTS") == "1"
    if told or (not base and os.access(own, os.W_OK)):
        maintain(own, encoded, 0o644)


def write_authorized_keys(keys: "list[str]") -> None:
    """Operators' keys of the login user; only on a machine that is one. Raises OSError."""
    home = os.environ.get("HEADWATER_LOGIN_HOME") or os.environ.get("HOME", "")
    if os.environ.get("HEADWATER_ROOT") or not home:
        return
    directory = home + "/.ssh"
    if not os.path.isdir(directory):
        if not keys:
            return
        os.mkdir(directory, 0o700)
        owner = os.stat(home)
        os.chown(directory, owner.st_uid, owner.st_gid)
    maintain(directory + "/authorized_keys", [_encoded(key) for key in keys], 0o600)


def _encoded(text: str) -> bytes:
    """The locale of a login may know no more than ASCII."""
    return text.encode("utf-8", "surrogateescape")


def _quoted(word: str) -> str:
    return "'%s'" % word.replace("'", "'\\''")
