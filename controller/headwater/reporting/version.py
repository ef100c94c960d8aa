"""Which Headwater this is."""

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    """The installed version; `unknown` where the sources run without being installed."""
    try:
        return version("headwater")
    except PackageNotFoundError:
        return "unknown"
