"""OpenStack's services, over the connections of libcloud's driver.

The driver's own calls take anything for an answer, look for a made server twice, and make no more
than one at a time.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from libcloud.common.exceptions import BaseHTTPError
from libcloud.common.types import InvalidCredsError, MalformedResponseError

from headwater.cloud.openstack.driver import Driver
from headwater.errors import Transient

Body = Mapping[str, Any]
COMPUTE, NETWORK, IMAGE, VOLUME = "compute", "network", "image", "volume"
_UNAUTHORIZED = 401
BAD_REQUEST, FORBIDDEN, NOT_FOUND, CONFLICT = 400, 403, 404, 409


class Api:
    """Blocking, for one thread. Raises what libcloud raises."""

    def __init__(self, driver: Driver) -> None:
        self.session = driver.session
        self._connections: dict[str, Any] = {
            COMPUTE: driver.connection,
            NETWORK: driver.network_connection,
            IMAGE: driver.image_connection,
            VOLUME: driver.volumev3_connection,
        }

    def get(self, service: str, path: str, **wanted: object) -> Body:
        return self._ask(service, "GET", path, wanted)

    def post(self, service: str, path: str, body: Body) -> Body:
        return self._ask(service, "POST", path, {}, body)

    def delete(self, service: str, path: str) -> None:
        """What is gone is deleted."""
        try:
            self._request(service, "DELETE", path, {}, None)
        except BaseHTTPError as error:
            if error.code != NOT_FOUND:
                raise

    def pages(self, service: str, path: str, key: str, **wanted: object) -> Iterator[Body]:
        """Every item of every page: a list that ends too early would be a lie."""
        marker = ""
        while True:
            more = {"marker": marker} if marker else {}
            page = self._page(service, path, {**wanted, **more})
            items = page.get(key)
            if not isinstance(items, list):
                raise _unreadable(path, page)
            yield from items
            before, marker = marker, _marker(page, key)
            if not marker:
                return
            if marker == before:
                raise _unreadable(path, "the same page again and again")

    def having(self, service: str, path: str, key: str, **wanted: str) -> Iterator[Body]:
        """Items with these values. A service that does not know a filter answers with all."""
        for item in self.pages(service, path, key, **wanted):
            if all(_told(item, name) == value for name, value in wanted.items()):
                yield item

    def _page(self, service: str, path: str, wanted: Mapping[str, object]) -> Body:
        try:
            return self._ask(service, "GET", path, wanted)
        except BaseHTTPError as error:
            lost = code_of(error) == NOT_FOUND or "marker" in str(error)
            if "marker" in wanted and lost:
                words = f"{path} changed while it was listed; it is listed again ({error})"
                raise Transient(words) from error
            raise

    def _ask(
        self,
        service: str,
        method: str,
        path: str,
        wanted: Mapping[str, object],
        body: Body | None = None,
    ) -> Body:
        answer = self._request(service, method, path, wanted, body)
        if not isinstance(answer, dict):
            raise _unreadable(path, answer)
        return answer

    def _request(
        self,
        service: str,
        method: str,
        path: str,
        wanted: Mapping[str, object],
        body: Body | None,
    ) -> object:
        """A token that is refused is no reason to give up, once."""
        try:
            return self._once(service, method, path, wanted, body)
        except BaseHTTPError as error:
            if error.code != _UNAUTHORIZED:
                raise
        try:
            return self._once(service, method, path, wanted, body)
        except BaseHTTPError as error:
            if error.code == _UNAUTHORIZED:
                raise InvalidCredsError(f"{service}: {error}") from error
            raise

    def _once(
        self,
        service: str,
        method: str,
        path: str,
        wanted: Mapping[str, object],
        body: Body | None,
    ) -> object:
        try:
            return (
                self._connections[service]
                .request(path, method=method, params=dict(wanted), data=body or "")
                .object
            )
        except BaseHTTPError as error:
            if "<html" in str(error).lower():
                raise _unreadable(path, error) from error
            raise


def words_of(error: Exception) -> str:
    """A service's own, in lower case: it has no codes of its own for what is wrong."""
    return str(error).lower() if isinstance(error, BaseHTTPError) else ""


def code_of(error: Exception) -> int:
    code = error.code if isinstance(error, BaseHTTPError) else 0
    return int(code)


def _told(item: Body, name: str) -> object:
    """Projects were tenants once, and are so still where services are old."""
    return item.get(name, item.get("tenant_id") if name == "project_id" else None)


def _marker(page: Body, key: str) -> str:
    """From links, as most have them, or glance's next."""
    links = [link["href"] for link in page.get(f"{key}_links", ()) if link.get("rel") == "next"]
    address = next(iter(links), page.get("next") or "")
    found = parse_qs(urlsplit(str(address)).query).get("marker", [""])
    return found[0]


def _unreadable(path: str, what: object) -> MalformedResponseError:
    return MalformedResponseError(f"{path}: not an answer of OpenStack", body=str(what)[:200])
