"""Zones of volumes: nova's and cinder's have nothing to do with each other but by their names."""

from headwater.cloud.openstack.api import FORBIDDEN, NOT_FOUND, VOLUME, Api, code_of
from headwater.topology.machines import Machine


class Zones:
    """Of one account; shared by its threads."""

    def __init__(self) -> None:
        self._known: frozenset[str] | None = None
        """Cinder's; empty where there is nothing to choose."""

    def of(self, api: Api, machine: Machine) -> str:
        """Where a volume for this machine is to be made; empty where cinder is to decide."""
        zone = machine.facts.get("zone", "")
        if zone and self._known is None:
            self._known = _zones(api)
        return zone if zone in (self._known or ()) else ""

    def forget(self) -> None:
        """One of them is not there any more."""
        self._known = None


def _zones(api: Api) -> frozenset[str]:
    try:
        told = api.get(VOLUME, "/os-availability-zone")
    except Exception as error:
        if code_of(error) in {FORBIDDEN, NOT_FOUND}:
            return frozenset()
        raise
    names = frozenset(str(each["zoneName"]) for each in told["availabilityZoneInfo"])
    return names if len(names) > 1 else frozenset()
