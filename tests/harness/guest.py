"""A machine in a process of its own, as cloud-init leaves it: `guest.py ROOT ADDRESS PORT`.

ROOT/user-data says who may log in and with which host key it answers. Its SSH server reads that
key from ROOT/etc/ssh, again at every SIGHUP, and runs commands with ROOT as the whole machine.
"""

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncssh

KEY = "etc/ssh/ssh_host_ed25519_key"
READY = "ready"


class Guest:
    def __init__(self, root: Path, address: str, port: int) -> None:
        self.root = root
        self.address = address
        self.port = port
        text = (root / "user-data").read_text()
        self.config: dict[str, Any] = json.loads(text.removeprefix("#cloud-config\n"))

    def boot(self) -> None:
        """What cloud-init does with it."""
        key = self.root / KEY
        key.parent.mkdir(parents=True, exist_ok=True)
        if not key.exists():
            key.write_text(self.config["ssh_keys"]["ed25519_private"])
            key.chmod(0o600)
        (self.root / "run").mkdir(exist_ok=True)
        (self.root / "run/sshd.pid").write_text(f"{os.getpid()}\n")

    @property
    def authorized(self) -> list[str]:
        keys: list[str] = self.config.get("ssh_authorized_keys", [])
        return keys + [
            key
            for user in self.config.get("users", ())
            if isinstance(user, dict)
            for key in user["ssh_authorized_keys"]
        ]

    async def serve(self) -> None:
        server = await asyncssh.listen(
            self.address,
            self.port,
            server_host_keys=[str(self.root / KEY)],
            authorized_client_keys=asyncssh.import_authorized_keys("\n".join(self.authorized)),
            process_factory=self._run,
            encoding=None,
            reuse_address=True,
        )

        def reload() -> None:
            server.update(server_host_keys=[str(self.root / KEY)])

        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
        (self.root / READY).touch()
        await asyncio.Event().wait()

    async def _run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        child = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            process.command or "",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={"HEADWATER_ROOT": str(self.root), "HOME": str(self.root), "PATH": "/usr/bin:/bin"},
        )
        assert child.stdin is not None
        assert child.stdout is not None
        forth = asyncio.create_task(_copy(process.stdin, child.stdin))
        try:
            await _copy(child.stdout, process.stdout)
            process.exit(await child.wait())
        finally:
            forth.cancel()
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()


async def _copy(source: Any, sink: Any) -> None:
    with suppress(asyncssh.Error, OSError):
        while content := await source.read(65536):
            sink.write(content)
            await sink.drain()
    with suppress(OSError):
        sink.close()


if __name__ == "__main__":
    guest = Guest(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    guest.boot()
    asyncio.run(guest.serve())
