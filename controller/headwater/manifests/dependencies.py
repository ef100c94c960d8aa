"""`dependsOn` across a revision: names that lead nowhere, and circles."""

from collections import deque
from collections.abc import Collection, Iterator, Mapping

from headwater.manifests.deployment import Deployment
from headwater.manifests.index import Defined
from headwater.manifests.resolved import Diagnostic
from headwater.manifests.suggestions import did_you_mean

_SHOWN = 6
"""Names of a cycle that a message holds."""

Deployments = Mapping[str, Defined[Deployment]]


def wrong_dependencies(
    deployments: Deployments, names: Collection[str]
) -> Iterator[tuple[str, Diagnostic]]:
    """With the deployment that each is of. `names` are all that are defined, broken ones too."""
    suspects = _on_cycles(deployments)
    for name, deployment in deployments.items():
        for position, other in enumerate(deployment.resource.spec.depends_on):
            words, hint = f"unknown deployment '{other}'", ""
            if other not in names:
                hint = did_you_mean(other, names)
            elif other in suspects and (way := _way(other, name, deployments)):
                words = f"'dependsOn' is a cycle: {_shown([name, *way])}"
            else:
                continue
            place = ("spec", "dependsOn", position)
            yield name, deployment.definition.diagnose(place, words, hint)


def _on_cycles(deployments: Deployments) -> set[str]:
    """What is left when those go that wait for nobody, again and again."""
    waits = {
        name: set(d.resource.spec.depends_on) & deployments.keys()
        for name, d in deployments.items()
    }
    waited: dict[str, list[str]] = {}
    for name, others in waits.items():
        for other in others:
            waited.setdefault(other, []).append(name)
    free = deque(name for name, others in waits.items() if not others)
    while free:
        done = free.popleft()
        for name in waited.get(done, ()):
            waits[name].discard(done)
            if not waits[name]:
                free.append(name)
    return {name for name, others in waits.items() if others}


def _way(start: str, end: str, deployments: Deployments) -> list[str]:
    """The shortest from one to the other along `dependsOn`, both included; empty without one."""
    came: dict[str, str] = {start: ""}
    front = deque([start])
    while front:
        name = front.popleft()
        if name == end:
            way = [name]
            while came[way[-1]]:
                way.append(came[way[-1]])
            return way[::-1]
        for other in deployments[name].resource.spec.depends_on:
            if other in deployments and other not in came:
                came[other] = name
                front.append(other)
    return []


def _shown(names: list[str]) -> str:
    more = ["...", names[-1]] if len(names) > _SHOWN else []
    return " -> ".join([*(names[:_SHOWN] if more else names), *more])
