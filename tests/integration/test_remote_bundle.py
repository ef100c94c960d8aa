import io
import subprocess
import sys
import tarfile

from headwater.remote.bundle import bundle


def names() -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(bundle().content)) as archive:
        return archive.getnames()


def test_the_bundle_holds_the_agent_and_nothing_else():
    assert "headwater_agent/__main__.py" in names()
    assert all(name.startswith("headwater_agent/") for name in names())
    assert all(name.endswith((".py", ".pyc")) for name in names())


def test_another_process_gives_the_same_digest():
    script = "from headwater.remote.bundle import bundle; print(bundle().digest)"
    other = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    assert other.stdout.strip() == bundle().digest


def test_the_bundle_is_small():
    assert len(bundle().content) < 200_000
