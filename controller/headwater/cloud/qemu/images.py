"""Disk images: files below one folder, and the overlays that machines write to."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

_MAGIC = b"QFI\xfb"
_SUFFIX = ".qcow2"
_SECONDS = 60.0
_GIBIBYTE = 1 << 30


class NoImageError(Exception):
    """The text says what is wrong with which image."""


def image_file(folder: Path, name: str) -> Path:
    """The file that an image's id means. Raises NoImageError for what lies elsewhere, or is none.

    Only qcow2: what another file holds would be guessed, and a guest could write itself a header.
    """
    root = folder.resolve()
    try:
        file = (root / name).resolve(strict=True)
        if not file.is_relative_to(root):
            raise NoImageError(f"image {name!r} is not below {root}")
        with file.open("rb") as content:
            magic = content.read(len(_MAGIC))
    except (OSError, ValueError) as error:
        known = ", ".join(list(names(folder))[:5]) or "none"
        raise NoImageError(f"image {name!r} is not in {root}, where there are: {known}") from error
    if magic != _MAGIC:
        raise NoImageError(f"image {name!r} is no qcow2 file: qemu-img convert -O qcow2 makes one")
    return file


def names(folder: Path) -> Iterator[str]:
    """Relative to the folder."""
    for file in sorted(folder.rglob(f"*{_SUFFIX}")):
        if file.is_file():
            yield file.relative_to(folder).as_posix()


def make_overlay(image: Path, overlay: Path, gibibytes: int) -> None:
    """A disk that begins as the image, of the image's size or a larger one.

    Raises NoImageError, and OSError where the host has no room.
    """
    own = _virtual_size(image)
    wanted = gibibytes * _GIBIBYTE
    if 0 < wanted < own:
        raise NoImageError(
            f"image {image.name} needs a disk of {-(-own // _GIBIBYTE)} GiB, and {gibibytes} are"
            " asked for: ask for more (spec.size.disk), or for none"
        )
    overlay.unlink(missing_ok=True)
    size = [str(wanted)] if wanted else []
    _qemu_img("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(image), str(overlay), *size)


def _virtual_size(image: Path) -> int:
    size = json.loads(_qemu_img("info", "--output=json", "-U", str(image)))["virtual-size"]
    return int(size)


def _qemu_img(*arguments: str) -> str:
    try:
        ended = subprocess.run(  # noqa: S603  # arguments, no shell
            ["qemu-img", *arguments],  # noqa: S607  # from PATH
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            text=True,
            timeout=_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split())
        if "No space left" in said:
            raise OSError(f"qemu-img {arguments[0]}: {said}") from error
        raise NoImageError(f"qemu-img {arguments[0]}: {said}") from error
    return ended.stdout
