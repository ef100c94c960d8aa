"""From a parameter set on one machine to the readers woken on the others, and a thousand readers.

The time of a reader is taken in its recipe: from just before `ss-set` starts there to just after
`ss-get` has ended here, both programs and the way over two lines included.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import running, say, until
from e2e.systems import Table, document, resource, site
from fakes.builders import NOON, desired, machine, node, record, situation
from fakes.store import MemoryStore
from headwater.planning.records import WorkState
from headwater.reconcile.exchange import Exchange
from headwater.reconcile.hopes import end_futile
from headwater.reconcile.ledger import Ledger
from headwater.topology.progress import Request, Verb

READERS = 1000
WRITE = """\
#!/bin/bash -e
for round in $(seq {rounds}); do
    until [ -e {shared}/go-$round ]; do sleep 0.05; done
    echo $EPOCHREALTIME >{shared}/set-$round
    ss-set v$round "$round"
done
"""
READ = """\
#!/bin/bash -e
for round in $(seq {rounds}); do
    echo >{shared}/waits-$round-$HEADWATER_INDEX
    ss-get --timeout 0 writer:v$round >/dev/null
    echo $EPOCHREALTIME >{shared}/woken-$round-$HEADWATER_INDEX.new
    mv {shared}/woken-$round-$HEADWATER_INDEX.new {shared}/woken-$round-$HEADWATER_INDEX
done
"""
SETTLED = 1.0
"""Seconds from the start of the last `ss-get` until its question has reached the controller."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machines", type=int, default=31)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", type=Path)
    options = parser.parse_args()
    _machines(options.machines - 1, options.rounds, options.profile)
    asyncio.run(_memory())


def _machines(readers: int, rounds: int, profile: Path | None) -> None:
    medians, worst = [], []
    with (
        tempfile.TemporaryDirectory(prefix="headwater-benchmark-") as scratch,
        running(_system(Path(scratch), readers, rounds), profile),
    ):
        shared = Path(scratch)
        for round in range(1, rounds + 1):
            _all_there(shared, f"waits-{round}", readers)
            time.sleep(SETTLED)
            (shared / f"go-{round}").touch()
            woken = _all_there(shared, f"woken-{round}", readers)
            begun = float((shared / f"set-{round}").read_text())
            late = [(float(path.read_text()) - begun) * 1000 for path in woken]
            medians.append(median(late))
            worst.append(max(late))
    say(f"parameter set to reader woken, {readers} readers: median", "ms", medians, target=50)
    say(f"parameter set to reader woken, {readers} readers: last", "ms", worst)


def _all_there(shared: Path, name: str, count: int) -> list[Path]:
    def found() -> list[Path]:
        paths = [p for p in shared.glob(f"{name}-*") if p.suffix != ".new"]
        return paths if len(paths) == count else []

    paths: list[Path] = until(found, f"{count} times {name}")
    return paths


def _system(shared: Path, readers: int, rounds: int) -> dict[str, str]:
    outputs: Table = {f"v{round}": {} for round in range(1, rounds + 1)}
    recipes = {"writer": WRITE, "reader": READ}
    components = [
        resource(
            "Component",
            name,
            {
                "image": "host",
                "recipes": {"deploy": text.format(shared=shared, rounds=rounds)},
                "outputs": outputs if name == "writer" else {},
            },
        )
        for name, text in recipes.items()
    ]
    nodes = {"writer": {"component": "writer"}, "reader": {"component": "reader"}}
    nodes["reader"]["replicas"] = readers  # type: ignore[assignment]
    both = resource("Deployment", "exchange", {"cloud": "local", "nodes": nodes})
    return site("process") | {"exchange.toml": document(*components, both)}


async def _memory() -> None:
    """One controller's exchange with a thousand gets that wait for one value."""
    system = desired(node("ce", outputs=["x"]), node("wn", READERS))
    ledger = Ledger(MemoryStore())
    exchange = Exchange(ledger, lambda: NOON)
    exchange.want(system)
    there = []
    for number, spec in enumerate(system.instances.values()):
        made = machine(spec, f"m{number}")
        exchange.place(made)
        exchange.lead(spec.key, made.id)
        ledger.set_record(made.id, record(spec, WorkState.RUNNING))
        there.append((made, ledger.records[made.id]))
    writer, readers = there[0][0].id, [made.id for made, _ in there[1:]]
    looks, woken = [], []
    for round in range(5):
        value = f"v{round}"
        ledger.values.pop(writer, None)
        asked = [
            asyncio.create_task(exchange.ask(Request(m, Verb.GET, "ce.x", id=n, patience=60.0)))
            for n, m in enumerate(readers)
        ]
        await asyncio.sleep(0)
        for number, reader in enumerate(readers):
            exchange.waits.block(reader, frozenset({number}))
        begun = time.perf_counter()
        end_futile(situation(system, there), exchange)
        looks.append((time.perf_counter() - begun) * 1000)
        begun = time.perf_counter()
        await exchange.ask(Request(writer, Verb.SET, "x", value))
        replies = await asyncio.gather(*asked)
        woken.append((time.perf_counter() - begun) * 1000)
        if {reply.value for reply in replies} != {value}:
            raise ValueError(f"not everybody was told {value}")
    say(f"{READERS} readers in memory: set to the last one told", "ms", woken)
    say(f"{READERS} readers in memory: one look whether they wait in vain", "ms", looks)


if __name__ == "__main__":
    main()
