import asyncio
from pathlib import Path

import pytest

from headwater.store import outputs
from headwater.store.outputs import HISTORY, Outputs
from headwater.topology.keys import InstanceKey, MachineId

KEY = InstanceKey("gpod", "wn", 3)
MACHINE = MachineId("local", "m-1")


@pytest.fixture
def kept(tmp_path: Path) -> Outputs:
    return Outputs(tmp_path / "logs")


async def text(kept: Outputs, instance: str = "", *, history: bool = False) -> str:
    pieces = [piece async for _, piece in kept.read("gpod", instance, history=history)]
    return b"".join(pieces).decode()


async def test_output_lies_where_people_look_for_it(kept: Outputs):
    kept.append(KEY, MACHINE, "c1", 0, b"hi\n")

    path = kept.directory / "gpod" / "wn.3" / "local%3Am-1.c1.log"
    assert path.read_bytes() == b"hi\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_an_overlap_is_skipped_and_a_gap_is_marked(kept: Outputs):
    kept.append(KEY, MACHINE, "c1", 0, b"one\n")
    kept.append(KEY, MACHINE, "c1", 2, b"e\ntwo\n")
    kept.append(KEY, MACHINE, "c1", 20, b"three\n")
    kept.append(KEY, MACHINE, "c1", 26, b"four\n")

    expected = "one\ntwo\n\n[12 bytes of output are missing here]\nthree\nfour\n"
    assert await text(kept) == expected
    assert kept.size(KEY, MACHINE, "c1") == 31


async def test_a_full_file_says_so_once_and_offsets_go_on(
    kept: Outputs, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(outputs, "LIMIT", 10)
    for offset in range(0, 40, 8):
        kept.append(KEY, MACHINE, "c1", offset, b"12345678")

    shown = await text(kept)
    assert shown.startswith("1234567812\n[")
    assert shown.count("no more of it is kept") == 1
    assert kept.size(KEY, MACHINE, "c1") == 40


async def test_only_the_present_contextualisation_is_shown_unless_asked(kept: Outputs):
    kept.append(KEY, MACHINE, "c1", 0, b"old\n")
    kept.append(KEY, MACHINE, "c2", 0, b"new\n")

    assert await text(kept) == "new\n"
    assert await text(kept, history=True) == "old\nnew\n"


async def test_the_oldest_outputs_of_an_instance_make_room(kept: Outputs):
    for number in range(HISTORY + 3):
        kept.append(KEY, MACHINE, f"c{number}", 0, b"%d\n" % number)

    assert (await text(kept, history=True)).split() == [str(n) for n in range(3, HISTORY + 3)]


async def test_tasks_print_beside_the_last_context_and_push_none_out(kept: Outputs):
    kept.append(KEY, MACHINE, "c1", 0, b"old\n")
    kept.append(KEY, MACHINE, "c2", 0, b"new\n")
    for number in range(HISTORY + 3):
        kept.append(KEY, MACHINE, f"task_c2_{number}", 0, b"%d\n" % number)

    last = [str(n) for n in range(5, HISTORY + 3)]
    assert (await text(kept)).split() == ["new", *last]
    assert (await text(kept, history=True)).split() == ["old", "new", *last]


async def test_instances_come_in_the_order_of_their_numbers(kept: Outputs):
    for index in (10, 2, 1):
        kept.append(InstanceKey("gpod", "wn", index), MACHINE, "c", 0, b"%d " % index)

    assert await text(kept) == "1 2 10 "
    assert await text(kept, "wn.2") == "2 "


async def test_a_follower_gets_news_as_it_comes_and_nothing_of_others(kept: Outputs):
    kept.append(KEY, MACHINE, "c1", 0, b"before ")
    stream = kept.read("gpod", "wn.3", follow=True)
    async with asyncio.timeout(10):
        assert await anext(stream) == ("wn.3", b"before ")
        news = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        kept.append(InstanceKey("gpod", "wn", 4), MACHINE, "c1", 0, b"another instance")
        kept.append(InstanceKey("hello", "wn", 3), MACHINE, "c1", 0, b"another deployment")
        kept.append(KEY, MACHINE, "c1", 7, b"after")
        assert await news == ("wn.3", b"after")
        kept.append(KEY, MACHINE, "c2", 0, b"again")
        assert await anext(stream) == ("wn.3", b"again")
    await stream.aclose()


@pytest.mark.parametrize("name", ["..", ".", "", "../../etc", "a/b"])
async def test_no_name_leads_out_of_the_directory(kept: Outputs, name: str):
    (kept.directory.parent / "secret").mkdir(parents=True)
    (kept.directory.parent / "secret" / "x.log").write_text("secret")
    kept.append(InstanceKey(name, name, 1), MachineId(name, name), name, 0, b"inside")

    files = [p for p in kept.directory.rglob("*.log") if p.is_file()]
    assert [p.read_text() for p in files] == ["inside"]
    assert [piece async for piece in kept.read(name, "secret")] == []


def test_an_endless_machine_id_still_has_a_file(kept: Outputs):
    machine = MachineId("azure", "/subscriptions/" + "x" * 400)
    kept.append(KEY, machine, "c1", 0, b"hi")

    assert kept.size(KEY, machine, "c1") == 2


async def test_once_something_was_masked_what_has_no_account_is_cut_off(kept: Outputs):
    """Its writer was killed: it is told again, from a place that is known."""
    kept.append(KEY, MACHINE, "c1", 0, b"***\n", length=20)
    (file,) = kept.directory.rglob("*.log")
    with file.open("ab") as log:
        log.write(b"killed here")

    assert kept.size(KEY, MACHINE, "c1") == 20
    kept.append(KEY, MACHINE, "c1", 20, b"and on")
    assert (await text(kept), kept.size(KEY, MACHINE, "c1")) == ("***\nand on", 26)
