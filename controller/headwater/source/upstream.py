"""The watched repository as one thing: its address, its transport, our mirror of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pygit2

from headwater.source.address import Address, SshLogin, Way, parse_address
from headwater.source.faults import Moved
from headwater.source.libgit2 import Libgit2
from headwater.source.locks import remove_locks
from headwater.source.program import GitProgram
from headwater.source.repositories import open_mirror


class Transport(Protocol):
    """Every call raises HeadwaterError, and ends within the deadline or soon after."""

    def fetch(self, mirror: Path, refspec: str) -> None:
        """Bring references in; those that the remote has no longer go from the mirror too."""

    def push(self, mirror: Path, reference: str) -> None:
        """Raises Moved when the remote's reference is not an ancestor of ours."""

    def branches(self, mirror: Path) -> Sequence[str]:
        """The remote's branches, without `refs/heads/`."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """Blocking; for one thread at a time."""

    address: Address
    transport: Transport
    mirror: Path

    def fetch(self, refspec: str) -> pygit2.Repository:
        """The mirror, after a fetch."""
        try:
            self.transport.fetch(self.mirror, refspec)
        except Moved:
            if not remove_locks(self.mirror):
                raise
            self.transport.fetch(self.mirror, refspec)
        return open_mirror(self.mirror)

    def branches(self) -> Sequence[str]:
        return self.transport.branches(self.mirror)


_USERS_OWN = SshLogin()


def open_upstream(
    url: str | Path, mirror: Path, deadline: float, login: SshLogin = _USERS_OWN
) -> Upstream:
    """Does no I/O. Raises Stalled for an address that is none."""
    address = parse_address(url)
    transport: Transport
    if address.way is Way.SSH:
        transport = GitProgram(address, deadline, login)
    else:
        transport = Libgit2(address, deadline)
    return Upstream(address, transport, mirror)
