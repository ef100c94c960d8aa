"""What the agent costs its machine: one verb of a recipe, first and later contacts, rest."""

import resource
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import cost, cpu_of, say
from harness.agent_line import Machine, machine_in
from headwater.remote.bundle import bundle
from headwater_agent import protocol

RUNS = 20


def main() -> None:
    say("agent's program, sent on first contact", "KiB", [len(bundle().content) / 1024])
    spent: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="headwater-benchmark-") as scratch:
        for number in range(RUNS):
            with machine_in(Path(scratch, f"machine-{number}")) as machine:
                _contacts(machine, spent)
                _verbs(machine, spent)
                spent["agent at rest, of its own"].append(_own_memory(machine.daemon))
    for name, values in spent.items():
        say(name, "MiB" if "rest" in name else "ms", values)


def _contacts(machine: Machine, spent: dict[str, list[float]]) -> None:
    """From the bootstrap's start to the agent's hello; on the first one the daemon starts too."""
    known = 0.0
    for name in ("first contact", "second contact"):
        with cost(resource.RUSAGE_CHILDREN) as used:
            with cost() as waited:
                line = machine.attach()
            line.close()
        known, before = cpu_of(machine.daemon), known
        spent[f"{name}, until the agent says hello"].append(waited.wall * 1000)
        spent[f"{name}: CPU on the machine"].append((used.cpu + known - before) * 1000)


def _verbs(machine: Machine, spent: dict[str, list[float]]) -> None:
    """One `ss-get` whose answer is there; the daemon's part is told apart."""
    line = machine.attach()
    before = cpu_of(machine.daemon)
    with cost(resource.RUSAGE_CHILDREN) as used:
        asked = machine.verb("ss-get", "hostname")
        request = line.receive("request")
        line.send(protocol.reply(request["id"], 0, "127.1.0.1", ""))
        asked.communicate()
    spent["ss-get"].append(used.wall * 1000)
    spent["ss-get: CPU of the verb"].append(used.cpu * 1000)
    spent["ss-get: CPU of the agent"].append((cpu_of(machine.daemon) - before) * 1000)


def _own_memory(pid: int) -> float:
    """MiB that nobody shares: what one more such process takes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


if __name__ == "__main__":
    main()
