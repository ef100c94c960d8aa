"""Who we are to OpenStack: one token for all threads of an account, and where its services are."""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from libcloud.common.exceptions import BaseHTTPError
from libcloud.common.openstack_identity import (
    OpenStackAuthResponse,
    OpenStackIdentity_3_0_Connection,
    OpenStackIdentityTokenScope,
)
from libcloud.common.types import InvalidCredsError, MalformedResponseError

from headwater.cloud.openstack.options import Options
from headwater.errors import Stalled

GRACE = 60.0
"""Seconds before its end from which on a token is not used; of one that lasts not long, half."""
_LIFE = ("issued", "expires")
"""Keystone's clock need not be ours: what counts is the time between."""
_UNAUTHORIZED, _NOT_FOUND = 401, 404
VOLUMES = ("block-storage", "volumev3")
"""What catalogs call cinder; its older interfaces have other names."""


@dataclass(frozen=True, slots=True)
class Token:
    id: str
    project: str
    """The id of the project that it is for: administrators see others too."""
    catalog: Sequence[Mapping[str, Any]]
    until: float
    """By our own clock."""

    def __repr__(self) -> str:
        return f"Token({self.project})"


class Session:
    """Blocking; shared by the threads of an account."""

    def __init__(
        self, cloud: str, options: Options, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.options = options
        self._cloud = cloud
        self._clock = clock
        self._lock = threading.Lock()
        self._token: Token | None = None

    def token(self) -> Token:
        """A valid one, as far as is known. Raises what libcloud raises."""
        with self._lock:
            if self._token is None or self._clock() >= self._token.until:
                self._token = self._authenticate()
            return self._token

    def forget(self, token: str) -> None:
        """It was refused: the next call gets another one."""
        with self._lock:
            if self._token is not None and self._token.id == token:
                self._token = None

    def has(self, *kinds: str) -> bool:
        """Whether there is such a service for us. Raises what libcloud raises."""
        token = self.token()
        try:
            return bool(self.endpoint(token, *kinds))
        except Stalled:
            return False

    def endpoint(self, token: Token, *kinds: str) -> str:
        """Where a service answers. Raises Stalled where the catalog does not tell."""
        entries = [entry for entry in token.catalog if entry.get("type") in kinds]
        every = [each for entry in entries for each in entry.get("endpoints", ())]
        ours = [each for each in every if each.get("interface") == self.options.interface]
        regions = sorted({str(each.get("region") or each.get("region_id")) for each in ours})
        region = self.options.region or (regions[0] if len(regions) == 1 else "")
        for each in ours:
            if region in {each.get("region"), each.get("region_id")}:
                return str(each["url"])
        what = " or ".join(kinds)
        wanted = f"in region {region!r}" if region else "that is the only one"
        raise Stalled(
            f"cloud {self._cloud!r}: its catalog has no {self.options.interface} endpoint of"
            f" {what} {wanted} (spec.region; there are: {', '.join(regions) or 'none'})"
        )

    def _authenticate(self) -> Token:
        began = self._clock()
        keystone = _Keystone(self.options)
        try:
            answer = keystone.request(  # type: ignore[no-untyped-call]  # libcloud's
                "/v3/auth/tokens", data=json.dumps({"auth": self.options.identity}), method="POST"
            )
        except BaseHTTPError as error:
            if error.code == _UNAUTHORIZED:
                raise InvalidCredsError(f"keystone: {error}") from error
            if error.code == _NOT_FOUND:
                raise Stalled(
                    f"cloud {self._cloud!r}: there is no keystone at {self.options.auth_url}"
                    f" (option auth_url): {error}"
                ) from error
            raise
        try:
            told = answer.object["token"]
            begin, end = (datetime.fromisoformat(told[f"{each}_at"]) for each in _LIFE)
            lasts = (end - begin).total_seconds()
            return Token(
                answer.headers["x-subject-token"],
                told["project"]["id"],
                told["catalog"],
                began + lasts - min(GRACE, lasts / 2),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedResponseError("not a token of keystone", body=answer.body) from error


class _Answer(OpenStackAuthResponse):
    """libcloud's takes refusals for answers."""

    def success(self) -> bool:
        return bool(200 <= self.status < 300)  # noqa: PLR2004  # as HTTP has it

    def parse_error(self) -> str:
        try:
            said = str(json.loads(str(self.body))["error"]["message"])
        except Exception:  # noqa: BLE001  # whatever came instead is told as it is
            said = str(self.body)
        return f"{self.status} {self.error} {said}"


class _Keystone(OpenStackIdentity_3_0_Connection):
    responseCls = _Answer  # noqa: N815  # libcloud's name

    def __init__(self, options: Options) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # libcloud's
            auth_url=options.auth_url,
            user_id="",
            key="",
            token_scope=OpenStackIdentityTokenScope.UNSCOPED,
            timeout=options.timeout,
        )
