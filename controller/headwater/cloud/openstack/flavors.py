"""Nova's flavors, as sizes."""

from collections.abc import Sequence

from headwater.cloud.openstack.api import COMPUTE, Api, Body
from headwater.cloud.sizes import GIBIBYTE, no_size
from headwater.errors import Stalled
from headwater.topology.machines import MachineSpec
from headwater.topology.sizes import Offer, choose

_MEBIBYTE = 1 << 20


class Flavors:
    """Of one account; shared by its threads."""

    def __init__(self) -> None:
        self._known: tuple[Offer, ...] = ()
        """Empty: not asked for yet, or known to be others now."""

    def of(self, api: Api, *, anew: bool = False) -> Sequence[Offer]:
        if anew or not self._known:
            told = list(api.pages(COMPUTE, "/flavors/detail", "flavors"))
            # Where others have a disk, those without boot from a volume that somebody must make.
            disks = any(flavor["disk"] for flavor in told)
            self._known = tuple(_offer(flavor, disks=disks) for flavor in told)
        return self._known

    def fitting(self, api: Api, spec: MachineSpec) -> Offer:
        """Raises Stalled where there is none, not even by now."""
        found = choose(self.of(api), spec.size) or choose(self.of(api, anew=True), spec.size)
        if found is None:
            raise Stalled(no_size(spec.size, spec.cloud))
        return found

    def forget(self) -> None:
        """One of them is not there any more."""
        self._known = ()


def _offer(flavor: Body, *, disks: bool) -> Offer:
    return Offer(
        id=str(flavor["id"]),
        name=str(flavor["name"]),
        cpus=int(flavor["vcpus"]),
        memory=int(flavor["ram"]) * _MEBIBYTE,
        disk=int(flavor["disk"]) * GIBIBYTE,
        usual=bool(flavor["disk"]) or not disks,
    )
