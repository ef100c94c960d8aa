"""Processes by more than their number, which the system gives out again."""

import os

STANDARD_ERROR = 2


def start_time(pid: int) -> str:
    """When the process began, in ticks since boot; empty when there is none that lives."""
    fields = fields_of(pid)
    return fields[19] if fields and fields[0] not in "ZX" else ""


def alive(pid: int, start: str) -> bool:
    """The very process that had this number and start time."""
    return bool(start) and start_time(pid) == start


def session_members(session: int) -> "list[int]":
    """The living processes of a session, whatever process groups they made for themselves."""
    members = []
    for name in os.listdir("/proc"):
        fields = fields_of(int(name)) if name.isdigit() else None
        if fields and fields[3] == str(session) and fields[0] not in "ZX":
            members.append(int(name))
    return members


def signal_session(session: int, number: int) -> None:
    """To all of its processes but the caller."""
    for pid in session_members(session):
        if pid == os.getpid():
            continue
        try:  # noqa: SIM105  # contextlib is slow to import
            os.kill(pid, number)
        except ProcessLookupError:
            pass  # it went by itself


def close_all_but(*kept: int) -> None:
    """Of this process's descriptors, keep standard ones and `kept`."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > STANDARD_ERROR and int(name) not in kept:  # standard error
            try:  # noqa: SIM105  # contextlib is slow to import
                os.close(int(name))
            except OSError:
                pass  # the listing's own


def fields_of(pid: int) -> "list[str] | None":
    """The fields of /proc/PID/stat from the third (state) on: the second may hold anything.

    None where there is no such process.
    """
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            return file.read().decode("latin-1").rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
