"""How much of a node an update may take at once (`spec.update`)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from headwater.manifests.resolved import Update
from headwater.planning.seats import Seat
from headwater.topology.keys import InstanceKey


@dataclass(slots=True)
class Budget:
    """Spent while one node is planned."""

    away: int
    """Serving instances that may still stop serving."""
    extra: int
    """Machines that may still be made beside the serving ones."""
    may_break: bool
    """A serving machine may be terminated before its replacement serves."""
    short: int = 0
    """How many had to wait."""

    def take_away(self) -> bool:
        if self.away > 0:
            self.away -= 1
            return True
        self.short += 1
        return False

    def take_break(self, *, absent: bool, must: bool = False) -> bool:
        """Terminate a machine first, and make its replacement then.

        `absent`: it does not count as serving already, and may do so all the same. `must`: it can
        be replaced in no other way.
        """
        if not (self.may_break or must):
            self.short += 1
        return (self.may_break or must) and (absent or self.take_away())

    def take_extra(self, *, doubled: bool) -> bool:
        """Make a machine beside the one that serves. `doubled`: there are two already.

        (Without a journal nobody knows which of its machines serves: all of them stay until a new
        one does.)
        """
        if doubled:
            return True
        self.extra -= 1
        return self.extra >= 0


def budget(
    node: Sequence[Seat], update: Update, limbo: Collection[InstanceKey] = frozenset()
) -> Budget:
    """What is left of the limits, given what does not serve already.

    A machine that was missing from one listing only counts as there: `limbo` has its instance.
    """
    total = len(node)
    surge = portion(update.max_surge, total)
    unavailable = portion(update.max_unavailable, total)
    absent = sum(not seat.available for seat in node)
    doubled = sum(seat.alive + (seat.spec.key in limbo) > 1 for seat in node)
    return Budget(
        away=max(unavailable, 1) - absent,
        extra=surge - doubled,
        may_break=unavailable > 0 or surge == 0,
    )


def portion(limit: int | str, total: int) -> int:
    """A count as it is; a percentage of `total`, rounded down (as Kubernetes' maxUnavailable)."""
    if isinstance(limit, str):
        return int(limit.removesuffix("%")) * total // 100
    return limit
