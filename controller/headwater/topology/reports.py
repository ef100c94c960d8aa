"""Where a report is kept: by deployment, run, and a name that is ours to give."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from headwater.topology.keys import InstanceKey

_FORM = "%Y-%m-%dT%H%M%SZ"
_NAME = re.compile(r"([A-Za-z0-9_-]+\.[1-9]\d*)_report_(\d{4}-\d{2}-\d{2}T\d{6}Z)\.tgz")


@dataclass(frozen=True, slots=True)
class ReportPlace:
    """Raises ValueError for a run or a name that was never given out."""

    deployment: str
    run: int
    file: str
    """`<node.N>_report_<YYYY-MM-DDTHHMMSSZ>.tgz`, as SlipStream named them."""

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.file) is None or self.run < 1:
            raise ValueError(f"run {self.run}, {self.file!r}: there is no such report")

    @property
    def instance(self) -> str:
        return self._parts[0]

    @property
    def at(self) -> datetime:
        return datetime.strptime(self._parts[1], _FORM).replace(tzinfo=UTC)

    @property
    def _parts(self) -> tuple[str, str]:
        match = _NAME.fullmatch(self.file)
        assert match is not None  # noqa: S101  # made so
        return match[1], match[2]


def report_name(key: InstanceKey, at: datetime) -> str:
    return f"{key.instance}_report_{at.astimezone(UTC).strftime(_FORM)}.tgz"
