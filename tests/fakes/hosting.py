"""What lives behind the machines of a cloud's double, and how long they take."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Timing:
    """Seconds that a machine takes to come and to go."""

    boot: float = 0.0
    end: float = 0.0


@dataclass
class Guest:
    """What lives behind a machine: told of its user data, it says where it answers."""

    start: Callable[[str, str], str] | None = None
    stop: Callable[[str], None] | None = None
