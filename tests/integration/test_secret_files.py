"""Secrets in files: read by their owner only, and what is wrong with one is said with its name."""

import base64
import os
import sys
from pathlib import Path

import asyncssh
import pyrage
import pytest

from headwater.errors import Stalled
from headwater.manifests.resolved import Encrypted
from headwater.secrets.age import Age
from headwater.secrets.seal import FernetSeal
from headwater.secrets.sources import Sources
from headwater.topology.secrets import SecretValue

CANARY = "hunter2hunter2"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "secrets"
    made.mkdir()
    return made


def own(folder: Path, content: bytes = CANARY.encode(), mode: int = 0o600) -> Path:
    file = folder / "munge"
    file.write_bytes(content)
    file.chmod(mode)
    return file


def identity_file(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def encrypted(
    recipient: object, content: bytes = CANARY.encode(), *, armored: bool = False
) -> Encrypted:
    sealed = pyrage.encrypt(content, [recipient], armored=armored)
    return Encrypted("gpod/munge.age", "1", base64.b64encode(sealed).decode())


def refused(sources: Sources, file: Encrypted | None = None) -> str:
    with pytest.raises(Stalled) as stalled:
        sources.read("munge", file)
    assert CANARY not in repr(stalled.value)
    assert stalled.value.__cause__ is None
    return str(stalled.value)


class TestFiles:
    @pytest.mark.parametrize(
        ("content", "value"),
        [
            (b"a", "a"),
            (b"a\n", "a"),
            (b"a\r\n", "a"),
            (b"a\n\n", "a\n"),
            (b" a b ", " a b "),
            (b"", ""),
            (b"x" * 65536 + b"\n", "x" * 65536),
            ("é\nü".encode(), "é\nü"),
        ],
    )
    def test_one_line_end_belongs_to_the_file(self, folder, content, value):
        own(folder, content)

        assert Sources(folder, Age(None)).read("munge", None).reveal() == value

    @pytest.mark.parametrize(
        ("content", "mode", "words"),
        [
            (CANARY.encode(), 0o604, "may be read or written by everybody: chmod 600"),
            (CANARY.encode(), 0o602, "may be read or written by everybody: chmod 600"),
            (b"\xff" + CANARY.encode(), 0o600, "is binary: encode it, with base64 for example"),
            (b"\0" + CANARY.encode(), 0o600, "is binary (it holds a NUL): encode it"),
            (CANARY.encode() * 5000, 0o600, "bytes; a value has at most 65536"),
        ],
    )
    def test_one_that_cannot_be_used_is_refused_with_the_next_step(
        self, folder, content, mode, words
    ):
        file = own(folder, content, mode)

        told = refused(Sources(folder, Age(None)))

        assert told.startswith(f"secret 'munge': {file} ")
        assert words in told

    def test_a_missing_one_says_where_it_may_be(self, folder):
        told = refused(Sources(folder, Age(None)))

        assert f"write it to {folder / 'munge'} (mode 600)" in told
        assert "commit munge.age beside the manifest" in told

    def test_a_link_inside_the_directory_is_followed(self, folder):
        (folder / "..data").mkdir()
        own(folder / "..data")
        (folder / "munge").symlink_to("..data/munge")

        assert Sources(folder, Age(None)).read("munge", None).reveal() == CANARY

    def test_a_link_that_leads_out_is_not(self, folder, tmp_path):
        own(tmp_path)
        (folder / "munge").symlink_to(tmp_path / "munge")

        assert f"leads out of {folder}" in refused(Sources(folder, Age(None)))

    def test_a_pipe_is_refused_at_once(self, folder):
        os.mkfifo(folder / "munge", 0o600)

        assert "is not a file" in refused(Sources(folder, Age(None)))

    def test_a_changed_mode_is_another_version(self, folder):
        file = own(folder, mode=0o644)
        sources = Sources(folder, Age(None))
        before = sources.version("munge", None)
        file.chmod(0o600)

        assert sources.version("munge", None) != before

    def test_a_folder_of_that_name_is_no_secret(self, folder):
        (folder / "munge").mkdir()

        assert Sources(folder, Age(None)).version("munge", None) == ""


class TestAge:
    @pytest.mark.parametrize("armored", [False, True])
    def test_a_file_for_the_controllers_identity_is_decrypted(self, folder, tmp_path, armored):
        mine, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
        key = identity_file(tmp_path / "key", f"# created: now\n{other}\n\n{mine}\n")
        file = encrypted(mine.to_public(), armored=armored)

        assert Sources(folder, Age(key)).read("munge", file).reveal() == CANARY

    def test_a_key_of_openssh_is_an_identity_too(self, folder, tmp_path):
        private = asyncssh.generate_private_key("ssh-ed25519")
        key = identity_file(tmp_path / "key", private.export_private_key().decode())
        public = private.export_public_key().decode()
        file = encrypted(pyrage.ssh.Recipient.from_str(public))

        assert Sources(folder, Age(key)).read("munge", file).reveal() == CANARY

    def test_one_for_somebody_else_names_the_file_and_the_next_step(self, folder, tmp_path):
        mine, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
        key = identity_file(tmp_path / "key", str(mine))

        told = refused(Sources(folder, Age(key)), encrypted(other.to_public()))

        assert "gpod/munge.age cannot be decrypted" in told
        assert "encrypt it for this controller's recipient" in told
        assert str(mine) not in told

    def test_a_damaged_one_is_refused(self, folder, tmp_path):
        mine = pyrage.x25519.Identity.generate()
        key = identity_file(tmp_path / "key", str(mine))
        whole = base64.b64decode(encrypted(mine.to_public()).content)
        for damaged in (whole[:-3], whole[:40], whole[:-20] + b"x" * 20, b""):
            file = Encrypted("gpod/munge.age", "1", base64.b64encode(damaged).decode())
            assert "gpod/munge.age cannot be decrypted" in refused(Sources(folder, Age(key)), file)

    def test_what_is_too_large_is_refused(self, folder, tmp_path):
        mine = pyrage.x25519.Identity.generate()
        key = identity_file(tmp_path / "key", str(mine))
        file = encrypted(mine.to_public(), b"x" * 65537)

        assert "has 65537 bytes; a value has at most 65536" in refused(
            Sources(folder, Age(key)), file
        )

    @pytest.mark.parametrize(
        ("text", "mode", "words"),
        [
            (None, 0o600, "cannot be read: No such file or directory"),
            ("AGE-SECRET-KEY-1NONSENSE", 0o600, "holds no key that can be used"),
            ("# nothing\n", 0o600, "holds no key that can be used"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\nx", 0o600, "holds no key that can be used"),
            ("AGE-SECRET-KEY-1", 0o644, "may be read or written by everybody"),
        ],
    )
    def test_an_identity_of_no_use_is_said(self, folder, tmp_path, text, mode, words):
        key = tmp_path / "key"
        if text is not None:
            identity_file(key, text, mode)
        file = encrypted(pyrage.x25519.Identity.generate().to_public())
        sources = Sources(folder, Age(key))

        told = refused(sources, file)

        assert told.startswith(f"age identity: {key} ")
        assert words in told
        assert sources.check("munge", file) == told

    def test_without_an_identity_or_the_extra_it_says_how_to_get_one(self, folder, monkeypatch):
        file = encrypted(pyrage.x25519.Identity.generate().to_public())
        assert "HEADWATER_AGE_IDENTITY" in refused(Sources(folder, Age(None)), file)
        monkeypatch.setitem(sys.modules, "pyrage", None)
        assert "pip install 'headwater[age]'" in refused(Sources(folder, Age(None)), file)


class TestCheck:
    def test_what_can_be_said_without_reading_is_said(self, folder, tmp_path):
        mine = pyrage.x25519.Identity.generate()
        key = identity_file(tmp_path / "key", str(mine))
        others = encrypted(pyrage.x25519.Identity.generate().to_public())
        sources = Sources(folder, Age(key))

        assert sources.check("munge", None) == refused(sources)
        assert sources.check("munge", others) == ""
        own(folder, mode=0o644)
        assert sources.check("munge", None) == refused(sources)
        own(folder)
        assert sources.check("munge", None) == ""


class TestSeal:
    def test_the_key_is_made_once_for_its_owner_alone(self, tmp_path):
        sealed = FernetSeal.of(tmp_path / "keys").seal(SecretValue(CANARY))
        again = FernetSeal.of(tmp_path / "keys")

        assert again.open(sealed) == SecretValue(CANARY)
        assert CANARY not in sealed
        assert (tmp_path / "keys" / "seal").stat().st_mode & 0o777 == 0o600
        assert [file.name for file in (tmp_path / "keys").iterdir()] == ["seal"]

    def test_another_key_opens_nothing_and_digests_otherwise(self, tmp_path):
        one, other = FernetSeal.of(tmp_path / "a"), FernetSeal.of(tmp_path / "b")
        secret = SecretValue(CANARY)

        assert other.open(one.seal(secret)) is None
        assert one.digest(secret) == one.digest(SecretValue(CANARY)) != other.digest(secret)
        assert one.digest(secret) != one.digest(SecretValue(CANARY + "x"))

    @pytest.mark.parametrize(
        ("content", "mode", "words"),
        [(b"short", 0o600, "is not the key"), (b"x" * 32, 0o644, "chmod 600")],
    )
    def test_a_key_of_no_use_is_said_at_the_start(self, tmp_path, content, mode, words):
        (tmp_path / "seal").write_bytes(content)
        (tmp_path / "seal").chmod(mode)

        with pytest.raises(Stalled, match=words):
            FernetSeal.of(tmp_path)
