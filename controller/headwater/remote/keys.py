"""The controller's login key: made once, and the same ever after."""

import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

import asyncssh

from headwater.errors import Stalled

FILE = "id_ed25519"


@dataclass(frozen=True, slots=True)
class LoginKey:
    private: asyncssh.SSHKey
    public: str
    """In OpenSSH form, without a comment."""
    file: Path
    """The private key, readable by its owner only: what the `ssh` program takes as identity."""


def login_key(directory: Path) -> LoginKey:
    """The key in the directory, which is made when missing.

    Raises Stalled when it cannot be made or read.
    """
    file = directory / FILE
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not file.exists():
            _make(file)
        private = asyncssh.read_private_key(file)
    except (OSError, asyncssh.KeyImportError) as error:
        message = f"the login key {file} cannot be used: {error}; make it readable, or remove it"
        raise Stalled(message) from error
    public = private.export_public_key("openssh").decode("ascii")
    return LoginKey(private, " ".join(public.split()[:2]), file)


def _make(file: Path) -> None:
    """Appears whole, and never replaces one that another process made meanwhile."""
    key = asyncssh.generate_private_key("ssh-ed25519", comment="headwater")
    with NamedTemporaryFile(dir=file.parent, prefix=".key-") as draft:  # made with mode 0600
        draft.write(key.export_private_key("openssh"))
        draft.flush()
        os.fsync(draft.fileno())
        try:
            file.hardlink_to(draft.name)
        except FileExistsError:
            return
    file.with_suffix(".pub").write_bytes(key.export_public_key("openssh"))
