"""Secrets that lie encrypted beside the manifests: where they are looked for, and their form.

`{ secret = "gpod/munge-key" }` in `systems/gpod/cluster.toml` is the file
`systems/gpod/gpod/munge-key.age`, or else `systems/gpod/munge-key.age`, or else
`gpod/munge-key.age`: from the manifest's folder up to the watched path, the nearest wins.
"""

import base64
from collections.abc import Iterator, Mapping

from headwater.manifests.index import Unresolved
from headwater.manifests.resolved import Encrypted
from headwater.manifests.snapshot import File, FileKind

SUFFIX = ".age"
LARGEST = 128 * 1024
"""Bytes of an encrypted file: 64 KiB, in armor."""
_BEGINNINGS = (b"age-encryption.org/v1\n", b"-----BEGIN AGE ENCRYPTED FILE-----")


def encrypted(manifest: str, name: str, files: Mapping[str, File]) -> Encrypted | None:
    """The file of the secret for a manifest of this path; None where the repository has none.

    Raises Unresolved for what cannot be an encrypted file.
    """
    path = next((path for path in places(manifest, name) if path in files), None)
    if path is None:
        return None
    file = files[path]
    if file.kind is not FileKind.REGULAR:
        raise Unresolved(f"secret '{path}' is a {file.kind.value}, not a file")
    if file.content is None:
        words = f"secret '{path}' has {file.size} bytes and was not read"
        raise Unresolved(words, f"an encrypted file has at most {LARGEST}")
    if not file.content.startswith(_BEGINNINGS):
        words = f"secret '{path}' is not a file that age has encrypted"
        raise Unresolved(
            words, "if it is the secret itself, Git has told it to everybody: renew it"
        )
    return Encrypted(path, file.oid, base64.b64encode(file.content).decode())


def places(manifest: str, name: str) -> Iterator[str]:
    """Where the secret may lie, nearest first."""
    folders = manifest.split("/")[:-1]
    for depth in range(len(folders), -1, -1):
        yield "/".join((*folders[:depth], name + SUFFIX))
