"""First contact: the host key of the creation data is replaced by one that only the machine has.

In two steps, so that whoever dies in between is believed afterwards: the new key is made and told
first, and used when the controller has kept it.
"""

import asyncio
import shlex

import asyncssh

from headwater.errors import Stalled, Transient
from headwater.remote.bootstrap import LOGIN

PATIENCE = 30.0
"""Seconds for one of the two; a small machine may lack entropy."""
DELAYS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
"""Seconds between logins until the new key is met."""
_MARK = "HEADWATER KEY "
_REFUSED = "HEADWATER REFUSED "

# HEADWATER_ROOT is as in the bootstrap. A new key that was only half put in place is made anew.
_PLACE = """
umask 077
place=$HEADWATER_ROOT/etc/ssh
new=$place/.headwater_host_key
"""
_MAKE = (
    _PLACE
    + """
if ! { [ -s "$new" ] && [ -s "$new.pub" ]; }; then
  rm -f "$new" "$new.pub"
  ssh-keygen -q -t ed25519 -N '' -C '' -f "$new" </dev/null >/dev/null || {
    echo "HEADWATER REFUSED no new host key: ssh-keygen in $place failed (no OpenSSH, or no root)"
    exit 1
  }
fi
echo "HEADWATER KEY $(cat "$new.pub")"
"""
)
# The server reads the private half only, and again when it is told to; one that is started for
# every connection needs no telling.
_USE = (
    _PLACE
    + """
if [ -s "$new" ]; then
  mv -f "$new.pub" "$place/ssh_host_ed25519_key.pub" && chmod 644 "$place/ssh_host_ed25519_key.pub"
  mv -f "$new" "$place/ssh_host_ed25519_key" || exit 1
fi
for file in "$HEADWATER_ROOT/run/sshd.pid" "$HEADWATER_ROOT/var/run/sshd.pid"; do
  if [ -s "$file" ]; then kill -HUP "$(cat "$file")"; break; fi
done
"""
)


async def make(connection: asyncssh.SSHClientConnection) -> str:
    """The machine's new public host key in OpenSSH form. Raises Transient, Stalled."""
    said = await _run(connection, _MAKE)
    for line in said.splitlines():
        if line.startswith(_REFUSED):
            raise Stalled(line.removeprefix(_REFUSED))
        if line.startswith(_MARK + "ssh-ed25519 "):
            return " ".join(line.removeprefix(_MARK).split()[:2])
    raise Transient("the machine made no new host key")


async def use(connection: asyncssh.SSHClientConnection) -> None:
    """Logins from now on meet the new key. Raises Transient."""
    await _run(connection, _USE)


async def _run(connection: asyncssh.SSHClientConnection, script: str) -> str:
    command = "exec sh -c " + shlex.quote(LOGIN.format(script=shlex.quote(script)))
    try:
        async with asyncio.timeout(PATIENCE):
            ended = await connection.run(command, check=False, stdin=asyncssh.DEVNULL)
    except TimeoutError:
        raise Transient(f"no new host key within {PATIENCE:.0f} s") from None
    except (asyncssh.Error, OSError) as error:
        raise Transient(f"no new host key: {error}") from error
    return str(ended.stdout or "")


def shown(connection: asyncssh.SSHClientConnection) -> str:
    """The host key that the machine has proven, in OpenSSH form."""
    key = connection.get_server_host_key()
    return public(key) if key is not None else ""


def public(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key("openssh").decode("ascii").split()[:2])
