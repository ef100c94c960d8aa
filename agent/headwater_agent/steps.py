"""What a step runs, as a file that the system can execute."""

import os

from headwater_agent.journal import replace

TYPE_CHECKING = False  # the real one lives in `typing`, which is slow to import
if TYPE_CHECKING:
    from typing import Any

# The first one that exists is the machine's own. Locks are waited for: a machine that has just
# booted often updates itself. One call for all packages, after one update where indexes age.
LOCK = "-o DPkg::Lock::Timeout=300"
PACKAGE_PROGRAMS = (
    (
        "apt-get",
        "export DEBIAN_FRONTEND=noninteractive\n"
        "apt-get -q {0} update || {{ sleep 10; apt-get -q {0} update; }}\n"
        "exec apt-get -q -y {0} -o Dpkg::Options::=--force-confold install".format(LOCK),
    ),
    ("dnf", "exec dnf -q -y install"),
    ("yum", "exec yum -q -y install"),
    ("zypper", "exec zypper --non-interactive install --no-confirm"),
    ("apk", "exec apk add --no-cache"),
)


class Unstartable(Exception):  # the reason's word
    """The step cannot begin: its text says why, for people."""


class Script:
    """A file to execute, in these surroundings."""

    def __init__(self, path: str, environment: "dict[bytes, bytes]") -> None:
        self._path = path
        self._environment = environment

    def become(self) -> None:
        """Turn this process into it. Raises OSError."""
        os.execve(self._path, [self._path], self._environment)  # noqa: S606  # the step

    def why_not(self, error: OSError) -> str:
        """Why the system did not execute it: its own words name the wrong file."""
        with open(self._path, "rb") as file:
            interpreter = file.readline(256)[2:].strip(b" \t\n").decode("utf-8", "replace")
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            if interpreter.endswith("\r"):
                return "the #! line ends with a carriage return: save the script with LF line ends"
            return "the interpreter '%s' does not exist on this machine" % interpreter
        if isinstance(error, PermissionError):
            return "the interpreter '%s' may not be executed, or %s is mounted noexec" % (
                interpreter,
                os.path.dirname(self._path),
            )
        return "'%s' cannot be executed: %s" % (interpreter, error.strerror)


def prepare(directory: str, position: int, step: "dict[str, Any]", path: str) -> str:
    """Write the step's program below `directory`; its path. Raises Unstartable."""
    packages = step["packages"]
    script = _installation(packages, path) if packages else step["script"]
    if not script.startswith("#!"):
        raise Unstartable("the script does not begin with a #! line")
    program = "%s/%d-%s" % (directory, position, step_name(step))
    replace(program, script.encode("utf-8", "surrogatepass"), 0o755)
    return program


def step_name(step: "dict[str, Any]") -> str:
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in step["name"])[:64]


def _installation(packages: "list[str]", path: str) -> str:
    for name in packages:
        if name.startswith("-"):
            raise Unstartable("'%s' is not the name of a package" % name)
    for program, command in PACKAGE_PROGRAMS:
        if any(os.access(os.path.join(place, program), os.X_OK) for place in path.split(":")):
            quoted = ["'%s'" % name.replace("'", "'\\''") for name in packages]
            return "#!/bin/sh\n%s %s\n" % (command, " ".join(quoted))
    known = ", ".join(program for program, _ in PACKAGE_PROGRAMS)
    raise Unstartable("no program to install packages with on this machine (known: %s)" % known)
