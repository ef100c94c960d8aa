"""What a plan costs per hour."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from headwater.errors import HeadwaterError
from headwater.manifests.resolved import Size
from headwater.planning.actions import Action, Create, Terminate
from headwater.topology.machines import Capabilities, Machine, MachineState
from headwater.topology.sizes import choose


@dataclass(frozen=True, slots=True)
class PriceList:
    """Per hour, in whatever currency the lists have."""

    capabilities: Callable[[str], Capabilities]
    """By cloud. Raises HeadwaterError for an unusable one."""
    ours: Mapping[str, Mapping[str, float]]
    """By cloud, and a size's id or name: these win over the cloud's own."""

    def of(self, cloud: str, size: Size) -> float | None:
        """None: not known. Where no sizes are sold, machines cost nothing."""
        ours = self.ours.get(cloud, {})
        try:
            sizes = self.capabilities(cloud).sizes
        except HeadwaterError:
            return None
        if sizes is None:
            return ours.get(size.name or "", 0.0)
        offer = choose(sizes, size)
        return ours.get(offer.id, ours.get(offer.name, offer.price)) if offer else None


@dataclass(frozen=True, slots=True)
class Sum:
    amount: float = 0.0
    unknown: int = 0
    """Machines whose price is not in it."""


@dataclass(frozen=True, slots=True)
class Price:
    """Per hour: what a plan adds, what it takes away, and all of the deployment after it."""

    added: Sum
    removed: Sum
    total: Sum


def priced(actions: Sequence[Action], machines: Iterable[Machine], prices: PriceList) -> Price:
    """Of these decisions about a deployment; `machines` are all that it has.

    A machine that is replaced goes with the plan, though it goes only once the new one serves.
    """
    present = {m.id: m for m in machines if m.state is not MachineState.STOPPING}
    creates = [action for action in actions if isinstance(action, Create)]
    ended = {action.machine.id for action in actions if isinstance(action, Terminate)}
    replaced = {create.key for create in creates if create.replaces}
    gone = {id for id, m in present.items() if id in ended or m.key in replaced}
    new = [prices.of(each.spec.machine.cloud, each.spec.machine.size) for each in creates]
    old = {id: prices.of(m.id.cloud, m.tags.size) for id, m in present.items()}
    stays = [price for id, price in old.items() if id not in gone]
    return Price(_sum(new), _sum(old[id] for id in gone), _sum([*stays, *new]))


def _sum(prices: Iterable[float | None]) -> Sum:
    every = list(prices)
    known = [price for price in every if price is not None]
    return Sum(round(sum(known), 6), len(every) - len(known))


def written(price: Price) -> str:
    """One line; empty where nothing costs anything."""
    if not any(each.amount or each.unknown for each in (price.added, price.removed, price.total)):
        return ""
    added, removed, total = map(_written, (price.added, price.removed, price.total))
    return f"price per hour: +{added}, -{removed}, then {total}"


def _written(sum: Sum) -> str:
    if not sum.unknown:
        return f"{sum.amount:.4f}"
    return f"{sum.amount:.4f} and {sum.unknown} unknown" if sum.amount else f"{sum.unknown} unknown"
