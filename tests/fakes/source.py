"""A branch in memory, and one made by the real git program."""

import asyncio
import hashlib
import os
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from headwater.errors import HeadwaterError, Stalled
from headwater.manifests.snapshot import File, FileKind, Snapshot

Files = Mapping[str, str]


class FakeSource:
    """Satisfies the Source port. `failure` is raised by every fetch while it is set."""

    def __init__(self, files: Files | None = None) -> None:
        self.history: list[Snapshot] = []
        self.accepted = ""
        self.failure: HeadwaterError | None = None
        self.fetches = 0
        self._moved: set[asyncio.Event] = set()
        if files is not None:
            self.commit(files)

    def commit(self, files: Files) -> str:
        """The revision, which stands for the whole tree `files`."""
        parent = self.history[-1].revision if self.history else ""
        self.history.append(_snapshot(files, parent))
        self.touch()
        return self.history[-1].revision

    def rewind(self, files: Files) -> str:
        """A force-push: another history."""
        self.history = [_snapshot(files, f"not after {len(self.history)}")]
        self.touch()
        return self.history[-1].revision

    def touch(self) -> None:
        for event in self._moved:
            event.set()

    async def fetch(self) -> Snapshot:
        self.fetches += 1
        if self.failure is not None:
            raise self.failure
        if not self.history:
            raise Stalled("no commit yet")
        if self.accepted and all(s.revision != self.accepted for s in self.history):
            raise Stalled(f"force-pushed: {self.accepted[:10]} is no longer in the branch")
        return self.history[-1]

    def accept(self, revision: str) -> None:
        self.accepted = revision

    async def changes(self) -> AsyncIterator[None]:
        moved = asyncio.Event()
        moved.set()
        self._moved.add(moved)
        try:
            while True:
                await moved.wait()
                moved.clear()
                yield
        finally:
            self._moved.discard(moved)


def _snapshot(files: Files, parent: str) -> Snapshot:
    read = {
        path: File(_digest(text), FileKind.REGULAR, len(text.encode()), text.encode())
        for path, text in files.items()
    }
    tree = _digest(repr(sorted((path, file.oid) for path, file in read.items())))
    return Snapshot(_digest(parent + tree), read, tree)


def _digest(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class GitRepository:
    """A work tree with branch main, driven by the git program and by nobody's configuration."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main", *options)

    def git(self, *arguments: str, text: str | None = None) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ALLOW_PROTOCOL": "file",
            **{f"GIT_{who}_NAME": "Ada" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "ada@example.org" for who in ("AUTHOR", "COMMITTER")},
        }
        ended = subprocess.run(
            ["git", *arguments],
            cwd=self.directory,
            env=environment,
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, f"git {arguments}: {ended.stderr}"
        return ended.stdout.strip()

    def write(self, files: Files) -> None:
        for path, text in files.items():
            target = self.directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)

    def commit(self, files: Files, message: str = "change") -> str:
        """The whole tree becomes `files`."""
        self.git("rm", "-r", "--force", "--quiet", "--ignore-unmatch", ".")
        self.write(files)
        self.git("add", "--all", ".")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def rewind(self, files: Files) -> str:
        """A history that has nothing in common with the one before."""
        self.git("checkout", "--quiet", "--orphan", "other")
        self.git("branch", "--quiet", "--delete", "--force", "main")
        revision = self.commit(files)
        self.git("branch", "--move", "main")
        return revision
