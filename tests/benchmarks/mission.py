"""From a commit to the reports of mission control's test: the slides' seven minutes."""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import Controller, example, moment, running, say

NAME = "mission-control-test"
SERVICE = "mission-control/deployment.toml"
MACHINES = ("prime.1", "backup.1", "client.1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--level", default="sandbox", choices=["process", "sandbox", "machine"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--profile", type=Path, help="write the controller's cProfile here")
    options = parser.parse_args()
    before = example("clouds", "images", level=options.level)
    after = before | example("mission-control")
    del after[SERVICE]
    took: dict[str, list[float]] = {}
    for _ in range(options.runs):
        with running(before, options.profile) as controller:
            for name, seconds in _once(controller, after).items():
                took.setdefault(name, []).append(seconds)
    what = f"{NAME}, level {options.level}"
    for name, each in took.items():
        say(f"{what}: {name}", "s", each, 30.0 if name == "commit to reports" else None)


def _once(controller: Controller, files: dict[str, str]) -> dict[str, float]:
    """Seconds from just before `git commit` moves the branch."""
    controller.repository.write(files)
    controller.repository.git("add", "--all", ".")
    began = time.time()
    controller.repository.git("commit", "--quiet", "--message", "the test")
    deployed = controller.heard(
        "deployment.status_changed", deployment=NAME, phase="SendingReports"
    )
    sent = [
        controller.heard("task.ended", deployment=NAME, kind="report", instance=instance)
        for instance in MACHINES
    ]
    done = controller.heard("deployment.status_changed", deployment=NAME, phase="Done")
    return {
        "commit to all recipes done": moment(deployed) - began,
        "commit to reports": max(map(moment, sent)) - began,
        "commit to machines gone": moment(done) - began,
    }


if __name__ == "__main__":
    main()
