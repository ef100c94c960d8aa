"""libcloud's OpenStack driver, with one session for all its connections.

Its own connections authenticate each by itself, find services by names that clouds need not give
them, and know but the public interface.
"""

from typing import Any, Self
from urllib.parse import urlsplit

from libcloud.compute.drivers.openstack import (
    OpenStack_2_Connection,
    OpenStack_2_ImageConnection,
    OpenStack_2_NetworkConnection,
    OpenStack_2_NodeDriver,
    OpenStack_2_VolumeV3Connection,
)

from headwater.cloud.openstack.session import VOLUMES, Session, Token


class _Refused:
    """What libcloud tells that a token was refused."""

    def __init__(self, session: Session, token: str) -> None:
        self._session = session
        self._token = token

    def clear_cached_auth_context(self) -> None:
        self._session.forget(self._token)


class _OfSession:
    """A connection that takes its token and its address from the session."""

    driver: Any
    service_type: str
    auth_token: str
    kinds: tuple[str, ...] = ()
    """What catalogs call the service, where that is not its `service_type`."""
    version = ""
    """What some catalogs have at the end of the address, and requests have at their beginning."""

    def get_auth_class(self) -> _Refused:
        return _Refused(self.driver.session, self.auth_token)

    def _populate_hosts_and_request_paths(self) -> None:
        session: Session = self.driver.session
        token = session.token()
        self.auth_token = token.id
        url = session.endpoint(token, *(self.kinds or (self.service_type,))).rstrip("/")
        where = self._address(url, token)
        self._set_up_connection_info(url=where)  # type: ignore[attr-defined]  # libcloud's

    def _address(self, url: str, token: Token) -> str:  # noqa: ARG002  # of volumes alone
        return url.removesuffix(self.version)


class _Compute(_OfSession, OpenStack_2_Connection):  # type: ignore[misc]  # libcloud has no types
    pass


class _Network(_OfSession, OpenStack_2_NetworkConnection):  # type: ignore[misc]  # as above
    version = "/v2.0"


class _Images(_OfSession, OpenStack_2_ImageConnection):  # type: ignore[misc]  # as above
    version = "/v2"


class _Volumes(_OfSession, OpenStack_2_VolumeV3Connection):  # type: ignore[misc]  # as above
    kinds = VOLUMES

    def _address(self, url: str, token: Token) -> str:
        """Whole, but where the catalog leaves the version to its readers."""
        return url if "v3" in urlsplit(url).path.split("/") else f"{url}/v3/{token.project}"


class Driver(OpenStack_2_NodeDriver):
    """Without a call."""

    connectionCls = _Compute  # noqa: N815  # libcloud's name, as those below
    network_connectionCls = _Network  # noqa: N815
    image_connectionCls = _Images  # noqa: N815
    volumev3_connectionCls = _Volumes  # noqa: N815

    def __init__(self, session: Session) -> None:
        self.session = session
        options = session.options
        super().__init__(  # type: ignore[no-untyped-call]  # as above
            "", "", ex_force_auth_url=options.auth_url, timeout=options.timeout, api_version="2.2"
        )

    def __new__(cls, _: Session) -> Self:
        """The base class chooses by arguments that this one does not have."""
        return object.__new__(cls)
