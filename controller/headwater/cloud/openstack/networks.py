"""Networks, by what people call them."""

from dataclasses import dataclass

from headwater.cloud.openstack.api import NETWORK, Api
from headwater.errors import Stalled


@dataclass(frozen=True, slots=True)
class Network:
    id: str
    name: str


class Networks:
    """Of one account; shared by its threads."""

    def __init__(self, cloud: str) -> None:
        self._cloud = cloud
        self._known: dict[str, Network] = {}

    def find(self, api: Api, option: str, said: str) -> Network:
        """What the Cloud's option names, by name or id. Raises Stalled."""
        if said not in self._known:
            self._known[said] = self._find(api, option, said)
        return self._known[said]

    def forget(self) -> None:
        """One of them is not there any more."""
        self._known.clear()

    def _find(self, api: Api, option: str, said: str) -> Network:
        for key in ("id", "name"):
            found = [
                Network(str(each["id"]), str(each["name"]))
                for each in api.having(NETWORK, "/v2.0/networks", "networks", **{key: said})
            ]
            if len(found) == 1:
                return found[0]
            if found:
                ids = ", ".join(sorted(network.id for network in found))
                raise Stalled(
                    f"cloud {self._cloud!r}: {len(found)} networks are called {said!r}: say in"
                    f" option {option} which one, by its id ({ids})"
                )
        raise Stalled(
            f"cloud {self._cloud!r}: there is no network {said!r}: correct its option {option}"
        )
