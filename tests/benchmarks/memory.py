"""Three hundred contextualised machines at rest: what the controller and their host hold."""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import Controller, cpu_of, example, memory_of, moment, running, say

NAME = "crowd"
REST = 10.0
"""Seconds at rest over which processor time is counted."""
SETTLING = 5.0
"""Seconds until what the convergence left behind has been worked off."""
MANIFEST = """\
[[resources]]
apiVersion = "headwater.dev/v1alpha1"
kind = "Component"
metadata = { name = "one" }
spec = { image = "debian-12", recipes = { deploy = "#!/bin/sh\\ntrue\\n" } }

[[resources]]
apiVersion = "headwater.dev/v1alpha1"
kind = "Deployment"
metadata = { name = "crowd" }
spec = { cloud = "local", nodes = { one = { component = "one", replicas = MACHINES } } }
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machines", type=int, default=300)
    parser.add_argument("--level", default="process", choices=["process", "sandbox", "machine"])
    parser.add_argument("--profile", type=Path, help="write the controller's cProfile here")
    options = parser.parse_args()
    files = example("clouds", "images", level=options.level)
    with running(files, options.profile) as controller:
        files["crowd.toml"] = MANIFEST.replace("MACHINES", str(options.machines))
        what = f"{options.machines} machines, level {options.level}"
        _grow(controller, files, what)
        time.sleep(SETTLING)
        _at_rest(controller, what, options.machines)


def _grow(controller: Controller, files: dict[str, str], what: str) -> None:
    pid = controller.process.pid
    say(f"{what}: controller's RSS with no machine", "MiB", [memory_of(pid)["VmRSS"]])
    used, began = cpu_of(pid), time.time()
    controller.repository.commit(files)
    ready = controller.heard("deployment.status_changed", deployment=NAME, phase="Ready")
    say(f"{what}: commit to Ready", "s", [moment(ready) - began])
    say(f"{what}: controller's CPU until Ready", "s", [cpu_of(pid) - used])


def _at_rest(controller: Controller, what: str, machines: int) -> None:
    processes = {"controller": controller.process.pid, "machine host": controller.host}
    before = {name: cpu_of(pid) for name, pid in processes.items()}
    time.sleep(REST)
    for name, pid in processes.items():
        share = (cpu_of(pid) - before[name]) / REST * 100
        size = memory_of(pid)
        target = 120.0 if name == "controller" and machines == 300 else None
        say(f"{what}: {name}'s RSS at rest", "MiB", [size["VmRSS"]], target)
        say(f"{what}: {name}'s highest RSS", "MiB", [size["VmHWM"]])
        say(f"{what}: {name}'s CPU at rest", "%", [share])


if __name__ == "__main__":
    main()
