"""How a log record is written: for programs, and for people."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from headwater.reporting.words import duration

_COLOURS = {logging.DEBUG: "2", logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "31"}
_NAME_WIDTH = 24
_OF_EVERY_RECORD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object per record: time, level, logger, event, and the record's fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= {k: v for k, v in _fields(record).items() if k not in line}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class HumanFormatter(logging.Formatter):
    """`12:03:04 action.ended  hello/apache1.1  action=create`; one line per entry of a list."""

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        given = _fields(record)
        subject = "/".join(str(given.pop(k)) for k in ("deployment", "instance") if k in given)
        lists = [v for v in given.values() if isinstance(v, tuple)]
        words = [subject] if subject else []
        words += [
            f"{name}={_shown(name, value)}"
            for name, value in given.items()
            if not isinstance(value, tuple) and value not in ("", None)
        ]
        event = record.getMessage()
        line = f"{event:<{_NAME_WIDTH}} {' '.join(words)}".rstrip() if words else event
        if record.levelno >= logging.WARNING:
            line = f"{record.levelname.lower()}: {line}"
        if self._colour and (code := _COLOURS.get(record.levelno)):
            line = f"\x1b[{code}m{line}\x1b[0m"
        time = datetime.fromtimestamp(record.created).astimezone()
        lines = [f"{time:%H:%M:%S} {line}", *(f"         {v}" for each in lists for v in each)]
        if record.exc_info:
            lines.append(self.formatException(record.exc_info))
        return "\n".join(lines)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """An event's, or what the caller gave as `extra`."""
    given: dict[str, Any] | None = getattr(record, "fields", None)
    if given is not None:
        return dict(given)
    return {k: v for k, v in vars(record).items() if k not in _OF_EVERY_RECORD}


def _shown(name: str, value: object) -> str:
    if name == "seconds" and isinstance(value, float):
        return duration(value).replace(" ", "")
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if " " in text or not text.isprintable() else text
