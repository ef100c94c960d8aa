"""What the agent knows of a context or task, on disk: it outlives the agent, line and reboots.

contexts/<id>/, tasks/<id>/
    document.json   what the controller asked for
    N.started       the processes of step N: it exists before the step's first instruction runs,
                    and is made by exactly one runner
    N.exit          how step N ended; of a task that collects, one more: the collection
    ended.json      how all ended
    log             what the steps printed
    report.tgz      what a task has collected, until the controller has it
    heard           the controller knows the end of this task
"""

import json
import os

CONTEXTS, TASKS = "contexts", "tasks"
DRAFT = ".new"
"""Ends the name of an archive that is not whole yet."""
SAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."


class Journal:
    """The records of one context or task. Every record is whole or absent; all raise OSError."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.log = directory + "/log"
        self.report = directory + "/report.tgz"
        self.trouble = ""
        """Why it cannot be kept now: nothing more is started for it."""
        self._end: "dict[str, object] | None" = None

    @property
    def document(self) -> "dict[str, object]":
        found = read(self.directory + "/document.json")
        if found is None:
            raise OSError("%s/document.json is gone" % self.directory)
        return found

    def adopt(self, document: "dict[str, object]") -> None:
        """The first document of an id stays."""
        os.makedirs(self.directory, exist_ok=True)
        if read(self.directory + "/document.json") is None:
            write(self.directory + "/document.json", document)

    def started(self, position: int) -> "dict[str, object] | None":
        return read("%s/%d.started" % (self.directory, position))

    def claim(self, position: int, record: "dict[str, object]") -> bool:
        """Record the start of a step; False when another runner was first."""
        path = "%s/%d.started" % (self.directory, position)
        draft = "%s.%d" % (path, os.getpid())
        write(draft, record)
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        finally:
            os.unlink(draft)
        return True

    def exit(self, position: int) -> "dict[str, object] | None":
        return read("%s/%d.exit" % (self.directory, position))

    def record_exit(self, position: int, record: "dict[str, object]") -> None:
        write("%s/%d.exit" % (self.directory, position), record)

    def forget(self) -> None:
        """That anything has run; the end goes last, so that this can be done again."""
        self._end = None
        for name in sorted(os.listdir(self.directory), key="ended.json".__eq__):
            if name in ("log", "ended.json") or name.endswith((".started", ".exit")):
                os.unlink(self.directory + "/" + name)

    @property
    def ended(self) -> "dict[str, object] | None":
        return self._end or read(self.directory + "/ended.json")

    def record_end(self, record: "dict[str, object]") -> None:
        """A full disk does not make it untrue: it can be told at least."""
        self._end = record
        write(self.directory + "/ended.json", record)

    @property
    def heard(self) -> bool:
        return os.path.exists(self.directory + "/heard")

    def record_heard(self) -> None:
        """What was collected is with the controller: its space is free again."""
        replace(self.directory + "/heard", b"")
        _remove(self.report)

    def drop_draft(self) -> None:
        """Of a collection that did not come to its end."""
        _remove(self.report + DRAFT)


def journal_of(kind: str, id: str) -> Journal:  # the field's word
    return Journal(kind + "/" + name_of(id))


def name_of(id: str) -> str:  # the field's word
    """The id as a file name: what is not safe there is written as hexadecimal."""
    parts = [
        chr(byte) if chr(byte) in SAFE else "%%%02X" % byte
        for byte in id.encode("utf-8", "surrogatepass")
    ]
    return "".join(parts).replace(".", "%2E", 1) if id.startswith(".") else "".join(parts)


def _remove(path: str) -> None:
    try:  # noqa: SIM105  # contextlib is slow to import
        os.unlink(path)
    except FileNotFoundError:
        pass


def read(path: str) -> "dict[str, object] | None":
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read().decode("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise OSError("%s is not a record" % path) from error
    if not isinstance(found, dict):
        raise OSError("%s is not a record" % path)
    return found


def write(path: str, record: "dict[str, object]") -> None:
    """Atomically: a reader sees the old record or the new one."""
    replace(path, json.dumps(record).encode("ascii"))


def replace(path: str, content: bytes, mode: int = 0o600) -> None:
    """Atomically. Raises OSError and leaves what was there."""
    draft = "%s.new.%d" % (path, os.getpid())
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.chmod(draft, mode)
        os.rename(draft, path)
    except OSError:
        os.unlink(draft)
        raise
