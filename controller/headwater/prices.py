"""The price file: what sizes cost where no list of their cloud says it.

One table per cloud, with the price per hour of sizes by id or name:

    [lab]
    "m1.small" = 0.02
"""

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path

from headwater.errors import Refused


def read_prices(file: Path | None) -> Mapping[str, Mapping[str, float]]:
    """By cloud and size. Raises Refused naming file and key."""
    if file is None:
        return {}
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused(f"cannot read {file}: {error.strerror}") from None
    except ValueError as error:
        raise Refused(f"{file} is not valid TOML: {error}") from None
    return {cloud: _of_cloud(file, cloud, sizes) for cloud, sizes in document.items()}


def _of_cloud(file: Path, cloud: str, sizes: object) -> Mapping[str, float]:
    if not isinstance(sizes, dict):
        raise Refused(f"{file}: {cloud} is no table: write [{cloud}], then sizes and their prices")
    for size, price in sizes.items():
        if isinstance(price, bool) or not isinstance(price, int | float) or not _is_price(price):
            raise Refused(f"{file}: {cloud}.{size}: {price!r} is no price per hour, such as 0.02")
    return {size: float(price) for size, price in sizes.items()}


def _is_price(price: float) -> bool:
    return math.isfinite(price) and price >= 0
