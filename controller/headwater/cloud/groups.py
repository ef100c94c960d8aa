"""Security groups: what may reach our machines, made when needed and removed when unused."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from libcloud.compute.base import Node

from headwater.topology.digests import digest

FRESH = 120.0
"""Seconds for which a group that was asked for counts as used: its machine is on its way."""
PATIENCE = 300.0
"""Seconds until a group that could not be removed is tried again."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is let in: ports from anywhere, or everything from the machines of a group."""

    protocol: str = ""
    first: int = 0
    last: int = 0
    group: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    id: str
    whole: bool
    """Its rules were made: they come in one call, all or none."""


class Firewall(Protocol):
    """One cloud's own groups. Blocking, for one thread; raises what its driver raises."""

    def found(self, name: str = "") -> Iterable[Group]:
        """Every one of ours, or those of that name."""

    def create(self, name: str, deployment: str) -> str | None:
        """Its id; None where there is one of that name."""

    def allow(self, id: str, rules: Sequence[Rule]) -> None:
        """All or none; what is allowed already is."""

    def delete(self, id: str) -> bool:
        """Whether it is gone: what a machine is in stays."""


class Groups:
    """The groups of one account; shared by its threads.

    Each machine is in two: one lets in what its node opens and our login, from anywhere; the
    other everything from the machines of its deployment. Names say what is in them, so that the
    same is found again after a crash, and no group is ever changed.
    """

    def __init__(
        self, installation: str, login: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._installation = installation
        self._login = login
        self._clock = clock
        self._lock = threading.Lock()
        self._unknown = True
        """There may be groups of an earlier process."""
        self._ids: dict[str, str] = {}
        self._busy: dict[str, float] = {}
        """Until when a group is left alone."""

    def of(self, firewall: Firewall, deployment: str, ports: Sequence[str]) -> list[str]:
        """Their ids; what is missing is made. Raises what libcloud raises."""
        opened = sorted({*ports, self._login})
        outer = f"headwater-{self._installation}-{deployment}-{digest(opened)}"
        inner = f"headwater-{self._installation}-{deployment}"
        with self._lock:
            return [
                self._ensure(firewall, outer, deployment, lambda _: [_opened(p) for p in opened]),
                self._ensure(firewall, inner, deployment, lambda own: [Rule(group=own)]),
            ]

    def forget(self) -> None:
        """Somebody has removed one: look again."""
        with self._lock:
            self._ids.clear()
            self._unknown = True

    def look(self, firewall: Firewall) -> None:
        """Before anything can be unused that an earlier process has made; one call, once."""
        with self._lock:
            self._look(firewall)

    def unused(self, nodes: Iterable[Node]) -> tuple[str, ...]:
        """Names of groups that none of these, which are all that there are, is in.

        Clouds tell them by id or by name.
        """
        used = {group for node in nodes for group in node.extra["groups"]}
        with self._lock:
            free = [name for name, id in self._ids.items() if used.isdisjoint((name, id))]
            return tuple(name for name in free if not self._is_busy(name))

    def remove(self, firewall: Firewall, names: Iterable[str]) -> None:
        """Raises for the first group that stays for another reason than being in use."""
        with self._lock:
            for name in names:
                if name in self._ids and not self._is_busy(name):
                    if firewall.delete(self._ids[name]):
                        del self._ids[name]
                    else:
                        self._busy[name] = self._clock() + PATIENCE

    def _is_busy(self, name: str) -> bool:
        return self._busy.get(name, 0.0) > self._clock()

    def _ensure(
        self,
        firewall: Firewall,
        name: str,
        deployment: str,
        rules: Callable[[str], Sequence[Rule]],
    ) -> str:
        self._busy[name] = self._clock() + FRESH
        if name not in self._ids:
            id = firewall.create(name, deployment)
            if id is None:
                self._look(firewall)
                if name in self._ids:
                    return self._ids[name]
                # Of somebody who died before its rules were made.
                id = next(group.id for group in firewall.found(name))
            firewall.allow(id, rules(id))
            self._ids[name] = id
        return self._ids[name]

    def _look(self, firewall: Firewall) -> None:
        """Groups of an earlier process."""
        if self._unknown:
            self._ids |= {group.name: group.id for group in firewall.found() if group.whole}
            self._unknown = False


def _opened(port: str) -> Rule:
    place, _, protocol = port.partition("/")
    first, _, last = place.partition("-")
    return Rule(protocol or "tcp", int(first), int(last or first))
