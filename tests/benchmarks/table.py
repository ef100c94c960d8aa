"""JSON lines of the benchmarks as a Markdown table: `python tests/benchmarks/table.py FILE`."""

import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    lines = Path(sys.argv[1]).read_text().splitlines()
    results = [json.loads(line) for line in lines if line.startswith("{")]
    rows = [("what", "median", "best", "target", "runs", "command"), *map(_row, results)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, tuple("-" * width for width in widths))
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(f"| {' | '.join(cells)} |\n")


def _row(result: dict[str, Any]) -> tuple[str, ...]:
    unit, target = result["unit"], result["target"]
    return (
        result["name"],
        f"{result['value']:.3g} {unit}",
        f"{result['best']:.3g} {unit}",
        f"{target:g} {unit}" if target is not None else "",
        str(result["runs"]),
        f"`{result['command']}`",
    )


if __name__ == "__main__":
    main()
