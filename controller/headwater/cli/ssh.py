"""`headwater ssh`: the system's ssh, with our key and the one host key that is believed."""

import shutil
import signal
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from headwater.cli.client import Client, path_of
from headwater.cli.options import state_option
from headwater.errors import Refused
from headwater.planning.status import Login


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("instance")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@state_option
def ssh(name: str, instance: str, command: tuple[str, ...], state: Path) -> int:
    """Open a shell on an INSTANCE (`wn.3`) of the deployment NAME, or run a COMMAND there.

    Ends with the exit code of the command; 255 is ssh's own failure.
    """
    if (program := shutil.which("ssh")) is None:
        raise Refused("there is no `ssh` program here: install the OpenSSH client")
    login = Client(state).get(Login, path_of(name, "instances", instance, "login"))
    with TemporaryDirectory(prefix="headwater-ssh-") as folder:
        known_hosts = Path(folder) / "known_hosts"
        known_hosts.write_text(login.known_hosts.rstrip("\n") + "\n", encoding="utf-8")
        child = subprocess.Popen([program, *arguments(login, known_hosts), *command])  # noqa: S603  # our own arguments; the command is the user's
        # Ctrl-C is for what runs on the machine; we stay to tidy up and to tell how it ended.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return child.wait()
        finally:
            signal.signal(signal.SIGINT, before)


def arguments(login: Login, known_hosts: Path) -> list[str]:
    """Options and destination: nothing of the user's own configuration takes part."""
    options = {
        "IdentityFile": login.private_key_file,
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "UserKnownHostsFile": str(known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "PasswordAuthentication": "no",
        "LogLevel": "ERROR",
    }
    settings = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    target = ["-p", str(login.port), "-l", login.user, "--", login.address]
    return ["-F", "/dev/null", *settings, *target]
