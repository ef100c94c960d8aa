"""The files of one revision, below the watched path."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class FileKind(Enum):
    REGULAR = "file"
    SYMLINK = "symlink"
    SUBMODULE = "submodule"


@dataclass(frozen=True, slots=True)
class File:
    """`oid` names the content: equal oids, equal bytes. `content` is None where it is not read."""

    oid: str
    kind: FileKind
    size: int
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Paths are relative to the watched path, with `/`, and never leave it."""

    revision: str
    """The commit's id in hex; empty for a work tree."""
    files: Mapping[str, File]
    tree: str = ""
    """The id of the watched tree: equal trees, equal files."""
    approvals: tuple[str, ...] = ()
    """Digests in `Headwater-Approve:` trailers of the commits since the last accepted one."""
