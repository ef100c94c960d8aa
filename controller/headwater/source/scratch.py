"""Repositories made on the spot, for demonstrations."""

from collections.abc import Mapping
from pathlib import Path

import pygit2

AUTHOR = pygit2.Signature("Headwater", "headwater@localhost")


def make_repository(directory: Path, files: Mapping[str, bytes], message: str) -> str:
    """A new repository with a work tree and one commit on `main`. Returns the commit's id."""
    repository = pygit2.init_repository(directory, initial_head="main")
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    repository.index.add_all()
    repository.index.write()
    tree = repository.index.write_tree()
    return str(repository.create_commit("refs/heads/main", AUTHOR, AUTHOR, message, tree, []))
