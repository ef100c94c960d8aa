"""The one command that a login runs: find a place and a Python, fetch the agent, become it."""

import shlex
from enum import Enum

from headwater.remote.bundle import Bundle

MARK = b"HEADWATER "
"""Begins the lines that are ours, among what a login may print of itself."""


class Step(Enum):
    """What the bootstrap says after the mark."""

    HAVE = b"HAVE"
    """The agent is there; its first message follows."""
    NEED = b"NEED"
    """It reads the bundle from its standard input, exactly as many bytes as it has."""
    REFUSED = b"REFUSED"
    """It ends here; the rest of the line says why."""


# Only what every /bin/sh, head, gzip and tar know. HEADWATER_ROOT is the machine's own directory at
# the embedded cloud's level `process`, and empty on a machine of its own.
SCRIPT = """
umask 077
root=$HEADWATER_ROOT/var/lib/headwater
if ! { [ -d "$root/agent" ] || mkdir -p "$root/agent" 2>/dev/null; } || ! [ -w "$root" ]; then
  root=$HOME/.headwater
  mkdir -p "$root/agent" || { echo "HEADWATER REFUSED no place: neither /var/lib/headwater nor \
$root can be written"; exit 1; }
fi
python=
for name in /usr/bin/python3 python3 /usr/libexec/platform-python; do
  if command -v "$name" >/dev/null 2>&1; then python=$name; break; fi
done
if [ -z "$python" ]; then
  echo "HEADWATER REFUSED no Python: install python3 (3.6 or newer) in the image"; exit 1
fi
home=$root/agent/DIGEST
if [ -f "$home/headwater_agent/__main__.py" ]; then
  echo "HEADWATER HAVE"
else
  new=$(mktemp -d "$root/.agent.XXXXXX") || { echo "HEADWATER REFUSED no place: $root is not \
writable"; exit 1; }
  echo "HEADWATER NEED"
  if ! head -c SIZE | gzip -dc | tar -xof - -C "$new"; then
    rm -rf "$new"
    echo "HEADWATER REFUSED no agent: it cannot be unpacked in $root (disk full, or no \
gzip or tar)"; exit 1
  fi
  [ -d "$home" ] || mv "$new" "$home"
  rm -rf "$new"
fi
exec "$python" -I -S -E "$home/headwater_agent/__main__.py" attach "$root" DIGEST
"""

# Recipes run as root. On a machine of its own a login that is not root becomes it where it may.
LOGIN = """
script={script}
if [ -z "$HEADWATER_ROOT" ] && [ "$(id -u)" != 0 ] && sudo -n true 2>/dev/null; then
  exec sudo -n -H env HEADWATER_LOGIN_HOME="$HOME" sh -c "$script"
fi
exec sh -c "$script"
"""


def command(bundle: Bundle) -> str:
    """For any login shell."""
    script = SCRIPT.replace("DIGEST", bundle.digest).replace("SIZE", str(len(bundle.content)))
    return "exec sh -c " + shlex.quote(LOGIN.format(script=shlex.quote(script)))
