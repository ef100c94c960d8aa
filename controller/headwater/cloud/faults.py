"""What libcloud's drivers raise, turned into what we do next."""

import re
from dataclasses import dataclass

from libcloud.common.exceptions import BaseHTTPError, RateLimitReachedError
from libcloud.common.types import InvalidCredsError, MalformedResponseError

from headwater.errors import HeadwaterError, QuotaExceeded, Stalled, Throttled, Transient

_LENGTH = 300
_SECRET = re.compile(
    r"(?i)\b((?:access|secret|api)?[_-]?(?:key|token|secret|password|signature|authorization))"
    r"(\s*[=:]\s*)\S+"
)
_PAGE = re.compile(r"(?i)\s*<(?:!doctype )?html")
_USER_INFORMATION = re.compile(r"(?<=://)[^/@\s]+@")


@dataclass(frozen=True, slots=True)
class Family:
    """The words of one driver, where its status codes do not tell: they decide first."""

    throttled: tuple[str, ...] = ()
    quota: tuple[str, ...] = ()
    stalled: tuple[str, ...] = ()
    transient: tuple[str, ...] = ()


_ANY = Family(quota=("quota",))
_FAMILIES = {
    "digitalocean": Family(quota=("droplet limit", "quota")),
    "ec2": Family(
        throttled=("RequestLimitExceeded", "Throttling", "SlowDown", "EC2ThrottledException"),
        quota=("LimitExceeded", "InsufficientFreeAddressesInSubnet", "PendingVerification"),
        stalled=("InvalidAMIID", "InvalidParameter", "UnauthorizedOperation", "AuthFailure"),
        transient=(
            "InsufficientInstanceCapacity",
            "InsufficientHostCapacity",
            "InsufficientReservedInstanceCapacity",
            "Unavailable",
            "InternalError",
            "InternalFailure",
            "IncorrectInstanceState",
            "IncorrectState",
            "DependencyViolation",
            "RequestTimeout",
        ),
    ),
    "openstack": Family(
        throttled=("OverLimit",),
        quota=("Quota exceeded", "quota", "No more IP addresses available"),
        stalled=("could not be found", "Invalid key_name"),
    ),
    "gce": Family(
        throttled=("rateLimitExceeded",),
        quota=("QUOTA_EXCEEDED", "quotaExceeded"),
        transient=("ZONE_RESOURCE_POOL_EXHAUSTED",),
    ),
}

_CLOCK = ("RequestExpired", "Signature expired", "Signature not yet current")
"""Signed at a moment that the other side does not believe."""
_BUSY = frozenset({408, 409, 423, 425})
_TOO_MANY = 429
_LATER = frozenset({413, 503})
_NO_SPACE = 507
_SERVER = 500


def classify(error: BaseException, driver: str, where: str) -> HeadwaterError:
    """The error that says what happened at `where` and what to do next.

    What no rule knows is Transient: it is tried again, ever more slowly, and shown meanwhile.
    """
    if isinstance(error, HeadwaterError):
        return error
    said = f"{where}: {_presentable(error)}"
    if any(word in said for word in _CLOCK):
        return Transient(f"{said} (check the clock of this host)")
    if isinstance(error, MalformedResponseError) or _PAGE.match(str(error)):
        return Transient(_no_answer(error, where))
    if (wait := _asks_to_wait(error)) is not None:
        return Throttled(said, max(wait, 1.0))
    if isinstance(error, InvalidCredsError):
        return Stalled(f"{said} (check the credentials)")
    family = _FAMILIES.get(driver, _ANY)
    code, text = _code(error), str(error)
    refused = code is not None and code < _SERVER and code not in _BUSY
    rules = (
        (Throttled, code == _TOO_MANY or _has(text, family.throttled)),
        (QuotaExceeded, code == _NO_SPACE or _has(text, family.quota)),
        (Transient, _has(text, family.transient)),
        (Stalled, refused or _has(text, family.stalled)),
    )
    consequence = next((consequence for consequence, holds in rules if holds), Transient)
    return consequence(said)


def _no_answer(error: BaseException, where: str) -> str:
    what = "a web page" if _PAGE.search(str(error)) else "something that cannot be read"
    return (
        f"{where}: {what} came back instead of an answer of its API: check the address of the"
        " endpoint and what stands before it (a proxy, a login, a maintenance notice)"
    )


def _has(text: str, words: tuple[str, ...]) -> bool:
    return any(word in text for word in words)


def _code(error: BaseException) -> int | None:
    """The HTTP status; libcloud has no other number."""
    if isinstance(error, BaseHTTPError) and isinstance(error.code, int | str):
        return int(error.code) if str(error.code).isdecimal() else None
    return None


def _asks_to_wait(error: BaseException) -> float | None:
    """Seconds. Quotas that are full are said with a `Retry-After` too, of 0 or by other codes."""
    if isinstance(error, RateLimitReachedError):
        return float(error.retry_after)
    if not isinstance(error, BaseHTTPError) or _code(error) not in _LATER:
        return None
    told = str((error.headers or {}).get("retry-after", ""))
    return float(told) if told.isdecimal() and int(told) else None


def _presentable(error: BaseException) -> str:
    """One short line without credentials."""
    text = " ".join(str(error).split()) or type(error).__name__
    return _USER_INFORMATION.sub("", _SECRET.sub(r"\1\2***", text))[:_LENGTH]
