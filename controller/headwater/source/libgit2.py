"""Fetching and pushing with libgit2: local paths and https, never ssh.

The ssh library inside libgit2 believes any host key unless told otherwise, and can bring the
process down.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pygit2
from pygit2.enums import CredentialType, FetchPrune

from headwater.source.address import Address
from headwater.source.faults import explain
from headwater.source.repositories import open_mirror, refuse_foreign_formats

_CONNECT_MILLISECONDS = 10_000
_FAILURES = (pygit2.GitError, ValueError, KeyError, OSError)


class Libgit2:
    def __init__(self, address: Address, deadline: float) -> None:
        self._address = address
        self._deadline = deadline
        # Of the whole process, and without limit until set: a dead server would hang us.
        pygit2.settings.server_connect_timeout = _CONNECT_MILLISECONDS
        pygit2.settings.server_timeout = int(deadline * 1000)

    def fetch(self, mirror: Path, refspec: str) -> None:
        remote, callbacks = self._remote(mirror)
        try:
            remote.fetch([refspec], callbacks=callbacks, prune=FetchPrune.PRUNE)
        except _FAILURES as e:
            raise explain(e, self._address.shown) from e

    def push(self, mirror: Path, reference: str) -> None:
        remote, callbacks = self._remote(mirror)
        try:
            remote.push([f"{reference}:{reference}"], callbacks=callbacks)
        except _FAILURES as e:
            raise explain(e, self._address.shown) from e
        if callbacks.refused:
            raise explain(callbacks.refused, self._address.shown)

    def branches(self, mirror: Path) -> Sequence[str]:
        remote, callbacks = self._remote(mirror)
        try:
            names = [head.name or "" for head in remote.list_heads(callbacks=callbacks)]
        except _FAILURES as e:
            raise explain(e, self._address.shown) from e
        return [n.removeprefix("refs/heads/") for n in names if n.startswith("refs/heads/")]

    def _remote(self, mirror: Path) -> "tuple[pygit2.Remote, _Callbacks]":
        if self._address.directory is not None:
            refuse_foreign_formats(self._address.directory)
        remote = open_mirror(mirror).remotes.create_anonymous(self._address.url)
        return remote, _Callbacks(self._deadline)


class _Callbacks(pygit2.RemoteCallbacks):
    def __init__(self, deadline: float) -> None:
        super().__init__()
        self._end = time.monotonic() + deadline
        self.refused = ""

    def credentials(
        self, url: str, username_from_url: str | None, allowed_types: CredentialType
    ) -> NoReturn:
        del url, username_from_url, allowed_types
        raise pygit2.GitError("a login is needed: https://USER:TOKEN@HOST/...")

    def certificate_check(self, certificate: None, valid: bool, host: bytes) -> bool:
        del certificate, host
        return valid

    def transfer_progress(self, stats: object) -> None:
        del stats
        if time.monotonic() > self._end:  # the process's timeouts see silence, not a trickle
            raise pygit2.GitError("too slow: timed out")

    def push_update_reference(self, refname: str, message: str | None) -> None:
        self.refused = f"{refname}: {message}" if message else ""
