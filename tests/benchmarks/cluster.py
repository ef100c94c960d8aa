"""From a commit to thirty-one machines that know each other: the slides' two minutes."""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import Controller, cost, cpu_of, example, moment, running, say

NAME = "gpod-cluster"
BYSTANDER = """\
apiVersion = "headwater.dev/v1alpha1"
kind = "Deployment"
metadata = { name = "bystander" }
spec = { cloud = "local", nodes = { nobody = { component = "nobody", replicas = 0 } } }
"""
"""A repository from which the last manifest goes would have to be approved."""
NOBODY = """\
apiVersion = "headwater.dev/v1alpha1"
kind = "Component"
metadata = { name = "nobody" }
spec = { image = "debian-12" }
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--level", default="sandbox", choices=["process", "sandbox", "machine"])
    parser.add_argument("--workers", type=int, default=30)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--profile", type=Path, help="write the controller's cProfile here")
    options = parser.parse_args()
    before = example("clouds", "images", level=options.level)
    before |= {"bystander.toml": BYSTANDER, "nobody.toml": NOBODY}
    after = before | example(NAME)
    manifest = f"{NAME}/deployment.toml"
    after[manifest] = after[manifest].replace("replicas = 30", f"replicas = {options.workers}")
    took: dict[str, list[float]] = {}
    for _ in range(options.runs):
        with running(before, options.profile) as controller:
            for name, seconds in _once(controller, before, after).items():
                took.setdefault(name, []).append(seconds)
    what = f"{NAME}, 1 + {options.workers} machines, level {options.level}"
    aims = {"commit to Ready": 6.0, "commit to first create": 1.0}
    for name, seconds_each in took.items():
        aim = aims.get(name) if options.workers == 30 else None
        say(f"{what}: {name}", "s", seconds_each, aim)


def _once(
    controller: Controller, before: dict[str, str], after: dict[str, str]
) -> dict[str, float]:
    """Seconds from just before `git commit` moves the branch."""
    repository = controller.repository
    repository.write(after)
    repository.git("add", "--all", ".")
    used = cpu_of(controller.process.pid)
    began = time.time()
    repository.git("commit", "--quiet", "--message", "the cluster")
    ready = controller.heard("deployment.status_changed", deployment=NAME, phase="Ready")
    used = cpu_of(controller.process.pid) - used
    host = cpu_of(controller.host)
    read = controller.heard("source.revision_read", deployments=2)
    first = controller.heard("action.ended", action="create")
    with cost() as removal:
        repository.commit(before)
        controller.heard("deployment.status_changed", deployment=NAME, phase="gone")
    return {
        "commit to Ready": moment(ready) - began,
        "commit to first create": moment(first) - first["seconds"] - began,
        "commit to revision read": moment(read) - began,
        "all creates": first["seconds"],
        "removal": removal.wall,
        "controller's CPU": used,
        "machine host's CPU": host,
    }


if __name__ == "__main__":
    main()
