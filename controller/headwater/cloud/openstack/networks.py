"""Networks, by what people call them."""

from headwater.cloud.openstack.api import NETWORK, Api
from headwater.errors import Stalled


class Networks:
    """Of one account; shared by its threads."""

    def __init__(self, cloud: str) -> None:
        self._cloud = cloud
        self._ids: dict[str, str] = {}

    def id(self, api: Api, option: str, name: str) -> str:
        """Of the network that the Cloud's option names, by name or id. Raises Stalled."""
        if name not in self._ids:
            self._ids[name] = self._find(api, option, name)
        return self._ids[name]

    def forget(self) -> None:
        """One of them is not there any more."""
        self._ids.clear()

    def _find(self, api: Api, option: str, name: str) -> str:
        for key in ("id", "name"):
            pages = api.pages(NETWORK, "/v2.0/networks", "networks", **{key: name}, fields="id")
            found = sorted(str(network["id"]) for network in pages)
            if len(found) == 1:
                return found[0]
            if found:
                raise Stalled(
                    f"cloud {self._cloud!r}: {len(found)} networks are called {name!r}: say in"
                    f" option {option} which one, by its id ({', '.join(found)})"
                )
        raise Stalled(
            f"cloud {self._cloud!r}: there is no network {name!r}: correct its option {option}"
        )
