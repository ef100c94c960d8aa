"""The port `Store`, on the real one and on the fake."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.store import Disk, MemoryStore
from headwater.errors import Stalled
from headwater.reconcile.ports import Store
from headwater.store.sqlite import SqliteStore
from headwater.topology.keys import InstanceKey, MachineId

KEY = InstanceKey("gpod", "wn", 3)
MACHINE = MachineId("local", "m-1")

Open = Callable[[], Store]


@pytest.fixture(params=["memory", "sqlite"])
def reopened(request: pytest.FixtureRequest, tmp_path: Path):
    """A new store on the same directory at each call, as after a restart."""
    if request.param == "memory":
        disk = Disk()
        yield lambda: MemoryStore(disk)
        return
    opened: list[SqliteStore] = []

    def open_store() -> SqliteStore:
        opened.append(SqliteStore(tmp_path / "state"))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


def test_a_new_store_holds_nothing(reopened: Open):
    assert reopened().load() == {}


def test_masked_output_stands_for_as_much_as_was_printed(reopened: Open):
    store = reopened()
    store.append_output(KEY, MACHINE, "c1", 0, b"it is ***\n", length=30)
    store.append_output(KEY, MACHINE, "c1", 30, b"***", length=14)
    sizes = [store.output_size(KEY, MACHINE, "c1"), reopened().output_size(KEY, MACHINE, "c1")]
    store.append_output(KEY, MACHINE, "c1", 40, b"told again")

    assert sizes == [44, 44]
    assert store.output_size(KEY, MACHINE, "c1") == 50


def test_a_document_is_there_for_the_next_process_without_a_farewell(reopened: Open):
    reopened().save("run/gpod", '{"phase": "Ready"}')

    assert reopened().load() == {"run/gpod": '{"phase": "Ready"}'}


def test_the_last_document_of_a_key_wins(reopened: Open):
    store = reopened()
    store.save("a", "1")
    store.save("a", "2")

    assert store.load() == {"a": "2"}


def test_none_removes_a_document_and_only_that(reopened: Open):
    store = reopened()
    store.save("a", "1")
    store.save("b", "2")
    store.save("a", None)
    store.save("never-there", None)

    assert store.load() == {"b": "2"}


def test_output_is_counted_by_offset_and_never_twice(reopened: Open):
    store = reopened()
    assert store.output_size(KEY, MACHINE, "c1") == 0
    store.append_output(KEY, MACHINE, "c1", 0, b"hello ")
    store.append_output(KEY, MACHINE, "c1", 0, b"hello ")
    store.append_output(KEY, MACHINE, "c1", 3, b"lo world")

    assert store.output_size(KEY, MACHINE, "c1") == 11
    assert reopened().output_size(KEY, MACHINE, "c1") == 11


def test_a_gap_moves_the_offset_past_it(reopened: Open):
    store = reopened()
    store.append_output(KEY, MACHINE, "c1", 100, b"late")

    assert reopened().output_size(KEY, MACHINE, "c1") == 104


def test_contexts_machines_and_instances_have_outputs_of_their_own(reopened: Open):
    store = reopened()
    store.append_output(KEY, MACHINE, "c1", 0, b"12345")

    assert store.output_size(KEY, MACHINE, "c2") == 0
    assert store.output_size(KEY, MachineId("local", "m-2"), "c1") == 0
    assert store.output_size(InstanceKey("gpod", "wn", 4), MACHINE, "c1") == 0


async def test_one_controller_at_a_time_and_the_next_after_it(reopened: Open):
    async with reopened().locked():
        with pytest.raises(Stalled, match=r"process \d+"):
            await reopened().locked().__aenter__()

    async with reopened().locked():
        pass
