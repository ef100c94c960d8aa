"""Errors, named by what the loop does next. Adapters translate once, where a library raises."""


class HeadwaterError(Exception):
    """An expected failure: its text tells a person what happened, where, and what to do next."""


class Transient(HeadwaterError):
    """Likely to pass: try again, with backoff."""


class Throttled(Transient):
    """The other side asks for less: try again after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Stalled(HeadwaterError):
    """Will not pass by itself: wait for a new revision or a person."""


class QuotaExceeded(Stalled):
    """The account holds no more: free something, or raise the quota."""


class HostKeyMismatch(Stalled):
    """A machine answered with a host key other than the pinned one. Never retried silently."""


class Refused(HeadwaterError):
    """The caller asked for something that cannot be: nothing was changed."""
