import threading

import pytest

from headwater.errors import Stalled, Transient
from headwater.source.worker import Worker


async def test_calls_run_one_after_another_in_one_thread() -> None:
    worker = Worker(10.0)
    threads = [await worker.run(threading.get_ident) for _ in range(3)]
    worker.close()

    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


async def test_a_call_raises_where_it_is_awaited() -> None:
    def fail() -> None:
        raise Stalled("no")

    worker = Worker(10.0)
    with pytest.raises(Stalled, match="no"):
        await worker.run(fail)
    worker.close()


async def test_a_late_call_is_given_up_and_holds_up_no_later_one_for_ever() -> None:
    worker, gate = Worker(0.05), threading.Event()
    with pytest.raises(Transient, match="not answered within"):
        await worker.run(gate.wait)
    with pytest.raises(Transient, match="not answered within"):
        await worker.run(threading.get_ident)
    gate.set()
    worker.close()

    assert [t for t in threading.enumerate() if t.name == "git" and not t.daemon] == []


async def test_what_was_given_up_before_it_began_never_runs() -> None:
    worker, gate, ran = Worker(0.05), threading.Event(), threading.Event()
    for call in (gate.wait, ran.set):
        with pytest.raises(Transient):
            await worker.run(call)
    gate.set()
    last = Worker.run(worker, ran.is_set)

    assert not await last
    worker.close()
