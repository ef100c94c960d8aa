"""What the threads of one EC2 account share."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from headwater.cloud.groups import Groups
from headwater.cloud.hostkeys import HostKeys
from headwater.cloud.options import ssh_port
from headwater.manifests.resolved import ResolvedCloud

OPTIONS = frozenset({"subnet", "vpc", "ssh_port"})
"""Of the Cloud manifest, for us; all others are the driver's."""
DEFAULTS = {"signature_version": "4", "timeout": 30}
"""The driver's own are signatures that newer regions refuse, and a minute."""
STRANGERS_EVERY = 900.0
"""Seconds between two looks at the whole account; those between see our own machines only."""


@dataclass(frozen=True, slots=True)
class Image:
    """What does not change of it: an id stands for one image for ever."""

    architecture: str
    root: str
    """The device that the system's disk is."""


class Ec2Account:
    """What the threads of one account share."""

    def __init__(
        self,
        cloud: ResolvedCloud,
        installation: str,
        keys: HostKeys,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        options = cloud.options
        self.cloud = cloud.name
        self.installation = installation
        self.keys = keys
        self.subnet = str(options.get("subnet", ""))
        self.vpc = str(options.get("vpc", ""))
        self.ssh_port = ssh_port(cloud)
        self.groups = Groups(installation, f"{self.ssh_port}/tcp", clock)
        self.images: dict[str, Image] = {}
        self.ended = False
        """Machines have been ended: what they used may be unused now."""
        self._clock = clock
        self._lock = threading.Lock()
        self._looked: float | None = None
        self._strangers = 0

    def begin_look(self) -> bool:
        """Whether it is time to list the whole account: for one thread at a time."""
        with self._lock:
            now = self._clock()
            if self._looked is not None and now - self._looked < STRANGERS_EVERY:
                return False
            self._looked = now
            return True

    def saw(self, strangers: int) -> None:
        self._strangers = strangers

    def not_seen(self) -> None:
        """The look failed: the next one is the look."""
        self._looked = None

    @property
    def strangers(self) -> int:
        return self._strangers
