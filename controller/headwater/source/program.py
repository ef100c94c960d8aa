"""Fetching and pushing over ssh, by the `git` and `ssh` programs."""

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from headwater.errors import HeadwaterError, Stalled, Transient
from headwater.source.address import Address, SshLogin
from headwater.source.faults import explain
from headwater.source.repositories import open_mirror

_CONFIGURATION = (
    "protocol.allow=never",
    "protocol.ssh.allow=always",
    "core.hooksPath=/dev/null",
    "gc.auto=0",
    "maintenance.auto=false",
)
_ABSENT = "couldn't find remote ref"


class GitProgram:
    """No configuration but ours, no prompt, no host that is not in known_hosts."""

    def __init__(self, address: Address, deadline: float, login: SshLogin) -> None:
        self._address = address
        self._deadline = deadline
        self._environment = _environment(login)

    def fetch(self, mirror: Path, refspec: str) -> None:
        repository = open_mirror(mirror)
        code, _, said = self._git(
            mirror, "fetch", "--prune", "--no-tags", "--", self._address.url, refspec
        )
        target = refspec.partition(":")[2]
        if code and _ABSENT in said:
            if target in repository.references:
                repository.references.delete(target)
        elif code:
            raise self._explain(said)

    def push(self, mirror: Path, reference: str) -> None:
        code, _, said = self._git(
            mirror, "push", "--", self._address.url, f"{reference}:{reference}"
        )
        if code:
            raise self._explain(said)

    def branches(self, mirror: Path) -> Sequence[str]:
        code, listed, said = self._git(mirror, "ls-remote", "--heads", "--", self._address.url)
        if code:
            raise self._explain(said)
        return [line.split("refs/heads/", 1)[1] for line in listed.splitlines()]

    def _explain(self, said: str) -> HeadwaterError:
        return explain(said, self._address.shown)

    def _git(self, mirror: Path, *arguments: str) -> tuple[int, str, str]:
        options = [word for setting in _CONFIGURATION for word in ("-c", setting)]
        try:
            process = subprocess.Popen(  # noqa: S603  # no shell; the address is checked
                ["git", "-C", str(mirror), *options, *arguments],  # noqa: S607  # from PATH
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._environment,
                start_new_session=True,
                text=True,
                errors="replace",
            )
        except FileNotFoundError as e:
            raise Stalled(
                f"{self._address.shown}: ssh repositories need the git program: install git and"
                " openssh-client"
            ) from e
        with process:
            try:
                listed, said = process.communicate(timeout=self._deadline)
            except subprocess.TimeoutExpired:
                raise Transient(
                    f"{self._address.shown}: no answer within {self._deadline:g} s"
                ) from None
            finally:
                _kill_session(process)
        return process.returncode, listed, said


def _kill_session(process: "subprocess.Popen[str]") -> None:
    """End git, and the ssh that it started and that would keep our pipes open."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)


def _environment(login: SshLogin) -> Mapping[str, str]:
    passed = {k: v for k in ("PATH", "HOME", "SSH_AUTH_SOCK") if (v := os.environ.get(k))}
    return passed | {
        "LC_ALL": "C",
        "GIT_SSH_COMMAND": shlex.join(_ssh(login)),
        "GIT_SSH_VARIANT": "ssh",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }


def _ssh(login: SshLogin) -> Sequence[str]:
    options = ["StrictHostKeyChecking=yes", "BatchMode=yes", "ConnectTimeout=10"]
    options += ["ServerAliveInterval=10", "GlobalKnownHostsFile=/dev/null"]
    if login.known_hosts:
        options.append(f"UserKnownHostsFile={_quoted(login.known_hosts)}")
    if login.key:
        options += ["IdentitiesOnly=yes", f"IdentityFile={_quoted(login.key)}"]
    return ["ssh", "-F", "/dev/null", *(word for o in options for word in ("-o", o))]


def _quoted(path: Path) -> str:
    """As ssh's options want it: they split at blanks and expand `%`."""
    return '"' + str(path.absolute()).replace("%", "%%") + '"'
