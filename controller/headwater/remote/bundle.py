"""The agent as one tar, named by its content."""

import functools
import gzip
import hashlib
import importlib.util
import io
import py_compile
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

PACKAGE = "headwater_agent"


@dataclass(frozen=True, slots=True)
class Bundle:
    digest: str
    content: bytes
    """A gzipped tar: unpacked anywhere, `headwater_agent/__main__.py` in it runs."""


@functools.cache
def bundle() -> Bundle:
    """The same source and interpreter give the same digest.

    The byte code of this interpreter goes along: a guest with the same Python (every machine of
    the embedded cloud) then compiles nothing; another one ignores it and keeps its own.
    """
    entries: list[tuple[str, bytes]] = []
    digest = hashlib.sha256(importlib.util.MAGIC_NUMBER)
    with tempfile.TemporaryDirectory() as scratch:
        for module in sorted(files(PACKAGE).iterdir(), key=lambda entry: entry.name):
            if module.name.endswith(".py"):
                source = module.read_bytes()
                digest.update(b"%s %d\n" % (module.name.encode(), len(source)) + source)
                entries.append((f"{PACKAGE}/{module.name}", source))
                entries.append(_compiled(Path(scratch), module.name, source))
    return Bundle(digest.hexdigest()[:32], gzip.compress(_tar(entries), 6, mtime=0))


def _compiled(scratch: Path, name: str, source: bytes) -> tuple[str, bytes]:
    path = scratch / name
    path.write_bytes(source)
    compiled = scratch / "compiled"
    py_compile.compile(
        str(path),
        str(compiled),
        dfile=f"{PACKAGE}/{name}",
        doraise=True,
        # Nobody edits a digest-named copy, and time stamps of a tar mean nothing.
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    cached = f"{name.removesuffix('.py')}.{sys.implementation.cache_tag}.pyc"
    return f"{PACKAGE}/__pycache__/{cached}", compiled.read_bytes()


def _tar(entries: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
