"""What comes next of a context or task, and how it ended, by what its journal holds."""

from headwater_agent.journal import Journal

TYPE_CHECKING = False  # the real one lives in `typing`, which is slow to import
if TYPE_CHECKING:
    from typing import Any

COLLECTING = 300.0
"""Seconds for a collection: it comes after the steps, and is not on their time."""
WORDS = 400
SUCCESS = {"code": 0, "reason": "", "words": "", "seconds": 0.0}


class Next:
    """A step to run within `seconds`; without a document it is the collection."""

    def __init__(self, position: int, step: "dict[str, Any] | None", seconds: float) -> None:
        self.position = position
        self.step = step
        self.seconds = seconds


def next_of(journal: Journal) -> "Next | None":
    """None where all is done. Raises OSError."""
    document: "Any" = journal.document
    left = float(document["timeout"])
    for position, step in enumerate(document["steps"]):
        record: "Any" = journal.exit(position)
        if record is None:
            return Next(position, step, left)
        if record["reason"]:
            break
        left -= record["seconds"]
    # Whatever became of the steps.
    if document["collects"] and journal.exit(len(document["steps"])) is None:
        return Next(len(document["steps"]), None, COLLECTING)
    return None


def end_of(journal: Journal) -> "dict[str, object]":
    """The end of its last step, after the seconds of all, where all is done. Raises OSError."""
    document: "Any" = journal.document
    name, last, spent = "", dict(SUCCESS), 0.0
    for position, step in enumerate(document["steps"]):
        record: "Any" = journal.exit(position)
        if record is None:
            break
        name, last = str(step["name"]), record
        spent += record["seconds"]
    end = end_with(last, name, spent)
    return _collected(end, journal) if document["collects"] else end


def failure(reason: str, words: str) -> "dict[str, object]":
    """The record of a step that no process has ended."""
    return {"code": None, "reason": reason, "words": words[:WORDS], "seconds": 0.0}


def end_with(record: "Any", step: str = "", seconds: float = 0.0) -> "dict[str, object]":
    """The end with this record of its last step, if it came to one."""
    return {
        "succeeded": not record["reason"],
        "step": step,
        "exit_code": record["code"],
        "reason": record["reason"],
        "words": record["words"] if record["reason"] else "",
        "seconds": seconds,
    }


def _collected(end: "Any", journal: Journal) -> "dict[str, object]":
    """With what the collection says: what it left out, or why there is no report."""
    document: "Any" = journal.document
    record: "Any" = journal.exit(len(document["steps"]))
    words = record["words"]
    if record["reason"]:
        words = "the report could not be made: %s" % (words or record["reason"])
    said = [text for text in (words, end["words"]) if text]
    return dict(
        end,
        succeeded=end["succeeded"] and not record["reason"],
        reason="uncollected" if record["reason"] else end["reason"],
        words="; ".join(said)[:WORDS],
        seconds=end["seconds"] + record["seconds"],
    )
