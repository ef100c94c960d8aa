"""From a commit to eighty sites of three machines each: one template, filled in eighty times."""

import argparse
import sys
from pathlib import Path
from time import time

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import Controller, cpu_of, example, memory_of, moment, running, say

SET = "sites"
COMPONENTS = """\
[[resources]]
apiVersion = "headwater.dev/v1alpha1"
kind = "Component"
metadata = { name = "store" }
spec.image = "debian-12"
spec.outputs.ready = {}
spec.recipes.deploy = "#!/bin/sh -e\\nss-set ready true\\n"

[[resources]]
apiVersion = "headwater.dev/v1alpha1"
kind = "Component"
metadata = { name = "front" }
spec.image = "debian-12"
spec.inputs.ready = { required = true }
spec.recipes.deploy = "#!/bin/sh -e\\nss-get --timeout 240 ready\\n"
"""
TEMPLATE = """\
apiVersion = "headwater.dev/v1alpha1"
kind = "Deployment"
[spec]
cloud = "local"
nodes.store = { component = "store", replicas = "${stores}" }
nodes.front = { component = "front", inputs = { ready = { from = "store[*].ready" } } }
"""
HEAD = """\
apiVersion = "headwater.dev/v1alpha1"
kind = "DeploymentSet"
metadata = { name = "sites" }
spec.template = "site.template.toml"
"""
NEWS = {"fronts": "1", "contact": '"127.0.0.1:7077"', "after": '["news-contact"]'}
"""What a site of the news exchange needs besides."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", type=int, default=80)
    parser.add_argument("--level", default="process", choices=["process", "sandbox", "machine"])
    parser.add_argument(
        "--news", action="store_true", help="the whole news exchange of the example"
    )
    parser.add_argument("--profile", type=Path, help="write the controller's cProfile here")
    options = parser.parse_args()
    files = example("clouds", "images", level=options.level)
    what = f"{options.sites} sites x 3 machines, level {options.level}"
    if options.news:
        what = f"news-exchange, {what}"
    with running(files, options.profile) as controller:
        files |= _exchange(options.sites) if options.news else _plain(options.sites)
        _converge(controller, files, what, options.sites)


def _plain(sites: int) -> dict[str, str]:
    return {
        "components.toml": COMPONENTS,
        "site.template.toml": TEMPLATE,
        "sites.toml": HEAD + _listed(sites, {}),
    }


def _exchange(sites: int) -> dict[str, str]:
    files = example("news-exchange")
    del files["news-exchange/development.toml"]
    files["news-exchange/sites.toml"] = HEAD + _listed(sites, {"cloud": '"local"', **NEWS})
    return files


def _listed(sites: int, values: dict[str, str]) -> str:
    rest = "".join(f"{key} = {value}\n" for key, value in {"stores": "2", **values}.items())
    return "".join(f'[[spec.sites]]\nname = "s{number}"\n{rest}' for number in range(sites))


def _converge(controller: Controller, files: dict[str, str], what: str, sites: int) -> None:
    """Seconds from just before `git commit` moves the branch."""
    pid = controller.process.pid
    controller.repository.write(files)
    controller.repository.git("add", "--all", ".")
    used, began = cpu_of(pid), time()
    controller.repository.git("commit", "--quiet", "--message", "the sites")
    names = [f"{SET}-s{number}" for number in range(sites)]
    ready = [
        controller.heard("deployment.status_changed", deployment=name, phase="Ready")
        for name in names
    ]
    first, last = min(map(moment, ready)), max(map(moment, ready))
    whole = sites == 80
    say(f"{what}: commit to all Ready", "s", [last - began], 90.0 if whole else None)
    say(f"{what}: commit to the first Ready", "s", [first - began])
    say(f"{what}: controller's CPU until then", "s", [cpu_of(pid) - used])
    say(f"{what}: machine host's CPU until then", "s", [cpu_of(controller.host)])
    highest = memory_of(pid)["VmHWM"]
    say(f"{what}: controller's highest RSS", "MiB", [highest], 200.0 if whole else None)


if __name__ == "__main__":
    main()
