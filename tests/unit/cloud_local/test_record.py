from pathlib import Path

import pytest

from headwater.cloud.local.record import CorruptRecordError, Holder, Record, load, save

RECORD = Record(
    id="hw-1",
    name="web",
    token="t",  # noqa: S106  # no secret
    level="sandbox",
    state="running",
    created="2026-01-01T00:00:00+00:00",
    private_key="private",
    host_key="public",
    authorized_keys="",
    metadata={"a": "b"},
    address="127.0.0.1",
    port=2222,
    boot="x",
    holder=Holder(1, 2, 3, 4),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "hw-1").mkdir()
    return tmp_path / "hw-1/record.json"


def test_a_record_is_read_as_it_was_written_and_by_nobody_else(path: Path) -> None:
    save(path, RECORD)

    assert load(path) == RECORD
    assert path.stat().st_mode & 0o077 == 0
    assert [each.name for each in path.parent.iterdir()] == ["record.json"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"holder": null}', '{"holder": 3}', "\udcff", '{"id": "hw-1"}']
)
def test_what_is_no_record_is_named(path: Path, text: str) -> None:
    path.write_bytes(text.encode(errors="surrogateescape"))

    with pytest.raises(CorruptRecordError, match=str(path)):
        load(path)


def test_a_record_with_values_of_other_types_is_corrupt(path: Path) -> None:
    save(path, RECORD)
    path.write_text(path.read_text().replace("2222", '"ssh"'))

    with pytest.raises(CorruptRecordError):
        load(path)


def test_the_record_of_another_machine_is_corrupt(path: Path) -> None:
    save(path, RECORD)
    path.write_text(path.read_text().replace("hw-1", "hw-2"))

    with pytest.raises(CorruptRecordError):
        load(path)
