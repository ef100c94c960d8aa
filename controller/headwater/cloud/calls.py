"""Orders, as the calls that carry them out: for clouds that make equal machines in one."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from libcloud.compute.base import Node

from headwater.errors import Throttled
from headwater.topology.machines import Batch, CreateOrder

Answers = Mapping[str, Node | Exception]
"""By the names of the orders."""


def batch_of(order: CreateOrder) -> Batch:
    """An order that belongs to no batch is one."""
    alone = ((order.tags.key.index, order.tags.incarnation),)
    return order.batch or Batch(order.token, alone, order.tags.revision)


def answer_each(
    orders: Sequence[CreateOrder], carry_out: Callable[[Sequence[CreateOrder]], Answers]
) -> Sequence[Node | Exception]:
    """One answer per order, in order; `carry_out` makes those of one batch."""
    calls: dict[str, list[CreateOrder]] = {}
    for order in orders:
        calls.setdefault(batch_of(order).token, []).append(order)
    answers: dict[str, Node | Exception] = {}
    for equal in calls.values():
        try:
            answers |= carry_out(equal)
        except Exception as error:  # noqa: BLE001  # translated by the account, as a value
            answers |= {order.name: error for order in equal}
    return [answers[order.name] for order in orders]


def answers_of(orders: Iterable[CreateOrder], made: Sequence[Node], wanted: int) -> Answers:
    """What one call for `wanted` machines made. What did not come is asked for again."""
    by_name = {node.name: node for node in made}
    count = f"made {len(by_name)} of {wanted} machines"
    return {
        order.name: by_name.get(order.name)
        or Throttled(f"the cloud {count}; the others are asked for again", 0.0)
        for order in orders
    }
