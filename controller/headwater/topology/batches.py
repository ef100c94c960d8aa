"""Which machines are made by one call, and how the calls of an earlier attempt are repeated."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from headwater.topology.digests import digest
from headwater.topology.keys import InstanceKey
from headwater.topology.machines import Batch, CreateOrder, Tags

LONGEST = 200
"""Characters of the members, written out: what a tag of any cloud holds (EC2: 256)."""
_RANGE = re.compile(r"([1-9][0-9]{0,8})(?:-([1-9][0-9]{0,8}))?(?:r([1-9][0-9]{0,8}))?")
_MOST = 10_000
"""Members that are believed of one tag."""


def batched(
    orders: Iterable[CreateOrder], begun: Mapping[InstanceKey, tuple[str, Batch]]
) -> list[CreateOrder]:
    """The orders, in their order, each with the call that makes it.

    `begun` has the calls without an answer, with the digest of the machines that they make: such
    a call is repeated whole and with its own revision, so that its token makes nothing twice. Of
    all others, equal ones share a call.
    """
    every = list(orders)
    answered: dict[InstanceKey, CreateOrder] = {}
    fresh: dict[tuple[str | bool, ...], list[CreateOrder]] = {}
    for order in every:
        again = _begun(order, begun)
        if again is not None:
            answered[order.tags.key] = replace(order, batch=again, tags=_tags(order, again))
        else:
            fresh.setdefault(_kind(order), []).append(order)
    for equal in fresh.values():
        for part in _parts(sorted(equal, key=lambda order: order.tags.key.index)):
            batch = _batch(part)
            answered |= {order.tags.key: replace(order, batch=batch) for order in part}
    return [answered[order.tags.key] for order in every]


def _begun(order: CreateOrder, begun: Mapping[InstanceKey, tuple[str, Batch]]) -> Batch | None:
    made, batch = begun.get(order.tags.key, ("", None))
    member = (order.tags.key.index, order.tags.incarnation)
    if batch is None or made != order.tags.machine_digest or member not in batch.members:
        return None
    return batch


def _tags(order: CreateOrder, batch: Batch) -> Tags:
    return replace(order.tags, revision=batch.revision, protect=batch.protect, orphan=batch.orphan)


def _kind(order: CreateOrder) -> tuple[str | bool, ...]:
    """Orders with the same differ in their instance only."""
    tags = order.tags
    key = tags.key
    place = (tags.installation, order.spec.cloud, key.deployment, key.node)
    login = (order.spec.login_user, order.authorized_key)
    zone = (order.zone,) if order.zone else ()
    return (*place, tags.machine_digest, tags.revision, tags.protect, tags.orphan, *login, *zone)


def _members(orders: Iterable[CreateOrder]) -> tuple[tuple[int, int], ...]:
    return tuple((order.tags.key.index, order.tags.incarnation) for order in orders)


def _batch(orders: Sequence[CreateOrder]) -> Batch:
    members, tags = _members(orders), orders[0].tags
    token = digest([*_kind(orders[0]), written(members)])
    return Batch(token, members, tags.revision, protect=tags.protect, orphan=tags.orphan)


def _parts(orders: list[CreateOrder]) -> list[list[CreateOrder]]:
    """As few as their members can be written out in."""
    if len(orders) == 1 or len(written(_members(orders))) <= LONGEST:
        return [orders]
    half = len(orders) // 2
    return [*_parts(orders[:half]), *_parts(orders[half:])]


def written(members: Iterable[tuple[int, int]]) -> str:
    """`1-3,5r2`: the indexes 1 to 3, and the second incarnation of 5."""
    runs: list[list[tuple[int, int]]] = []
    for place, same in groupby(
        enumerate(members), key=lambda each: (each[1][0] - each[0], each[1][1])
    ):
        del place
        runs.append([member for _, member in same])
    return ",".join(_written(run) for run in runs)


def _written(run: list[tuple[int, int]]) -> str:
    (first, incarnation), (last, _) = run[0], run[-1]
    indexes = str(first) if first == last else f"{first}-{last}"
    return indexes if incarnation == 1 else f"{indexes}r{incarnation}"


def read(text: str) -> tuple[tuple[int, int], ...] | None:
    """What `written` wrote; None for anything else."""
    members: list[tuple[int, int]] = []
    for part in text.split(","):
        found = _RANGE.fullmatch(part)
        if found is None:
            return None
        first, last, incarnation = (int(each) if each else 0 for each in found.groups())
        if (last or first) - first + len(members) > _MOST:
            return None
        members += [(index, incarnation or 1) for index in range(first, (last or first) + 1)]
    indexes = [index for index, _ in members]
    ours = written(members) == text and sorted(set(indexes)) == indexes
    return tuple(members) if ours else None
