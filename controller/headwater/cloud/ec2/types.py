"""EC2's instance types, asked of EC2: libcloud's table lacks new ones, and whole regions."""

from collections.abc import Collection
from xml.etree.ElementTree import Element

from headwater.cloud.ec2.query import Query, filters, items, text
from headwater.topology.sizes import Offer

_MEBIBYTE = 1 << 20
_MOST = 100
"""That one answer tells of."""


def types(query: Query, names: Collection[str]) -> tuple[Offer, ...]:
    """Those of them that the region has; EC2 tells no prices here."""
    every = sorted(names)
    asked = (every[at : at + _MOST] for at in range(0, len(every), _MOST))
    return tuple(_offer(item) for some in asked for item in _described(query, some))


def _described(query: Query, names: Collection[str]) -> list[Element]:
    answer = query.ask("DescribeInstanceTypes", filters({"instance-type": names}))
    return items(answer, "instanceTypeSet")


def _offer(item: Element) -> Offer:
    name = text(item, "instanceType")
    cpus = int(text(item, "vCpuInfo", "defaultVCpus") or 0)
    memory = int(text(item, "memoryInfo", "sizeInMiB") or 0)
    return Offer(name, name, cpus, memory * _MEBIBYTE)
