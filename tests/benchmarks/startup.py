"""What the command line costs before it does anything."""

import resource
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import EXAMPLES, PROGRAM, cost, say

RUNS = 10


def main() -> None:
    _measure("headwater --help", ["--help"], 0.2)
    _measure("headwater validate examples-repo", ["validate", str(EXAMPLES)])
    _measure("headwater status without a controller", ["status", "--state", "/nonexistent"])


def _measure(name: str, arguments: list[str], target: float | None = None) -> None:
    command = [sys.executable, PROGRAM, *arguments]
    subprocess.run(command, capture_output=True, check=False)  # reads files, writes byte code
    spent = []
    for _ in range(RUNS):
        with cost(resource.RUSAGE_CHILDREN) as each:
            subprocess.run(command, capture_output=True, check=False)
        spent.append(each.cpu)
    say(f"{name}: CPU", "s", spent, target)


if __name__ == "__main__":
    main()
