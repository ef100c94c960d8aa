"""Every benchmark, one after the other: `python tests/benchmarks/all.py > results.jsonl`."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
COMMANDS = (
    ("startup.py",),
    ("core.py",),
    ("agent.py",),
    ("cluster.py",),
    ("mission.py",),
    ("parameters.py",),
    ("sites.py",),
    ("memory.py",),
    ("memory.py", "--level", "sandbox"),
    ("ec2.py",),
)


def main() -> int:
    """The exit code is 1 when one of them could not measure; the others have."""
    broken = 0
    for name, *arguments in COMMANDS:
        sys.stderr.write(" ".join([name, *arguments]) + "\n")
        ended = subprocess.run([sys.executable, str(HERE / name), *arguments], check=False)
        broken |= ended.returncode != 0
    return broken


if __name__ == "__main__":
    sys.exit(main())
