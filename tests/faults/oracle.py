"""What must never happen, watched where it would: at the clouds, with the whole truth in view.

A controller cannot know what happened a moment ago. So an action is judged by every wish that was
the newest one within `PATIENCE` seconds, and a machine that died within them counts as there.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from libcloud.compute.types import NodeState

from faults.simulated_cloud import SimulatedAccount, SimulatedNode
from faults.simulated_ssh import Agent
from faults.wishes import digest_at
from headwater.cloud.tags import from_metadata
from headwater.planning.budget import portion
from headwater.topology.desired import Desired, InstanceSpec
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.machines import Tags

INSTALLATION = "house"
STRAY = "stray"
"""The name of machines of ours that no controller made."""
PATIENCE = 240.0

Wanted = Mapping[str, Desired | None]
"""By deployment; None where a manifest is there and was never right."""


class Oracle:
    """`violations` stays empty. Driven by the accounts (`Watch`) and by the world."""

    def __init__(
        self, agents: Mapping[MachineId, Agent], now: Callable[[], float], ended: Callable[[], None]
    ) -> None:
        self._ended = ended
        self.violations: list[str] = []
        self.accounts: list[SimulatedAccount] = []
        self.approved = False
        """Somebody has approved something; until then nothing that surprises may be lost."""
        self._agents = agents
        self._now = now
        self._tags: dict[str, Tags | None] = {}
        self._wishes: list[tuple[float, Wanted]] = []
        self._served: dict[str, float] = {}
        """When a machine was last seen serving, by its id."""
        self._since: dict[str, float] = {}
        """Since when it has served without a break."""
        self._forgotten = float("-inf")
        self._away: set[InstanceKey] = set()
        """Instances whose serving machine the controller has taken away."""

    def accepted(self, wanted: Wanted) -> None:
        self._wishes.append((self._now(), wanted))

    def forgot(self) -> None:
        """The store is lost: nobody knows who serves, and which updates were under way."""
        self._forgotten = self._now()
        self._away.clear()

    def omitted(self, nodes: Iterable[SimulatedNode]) -> None:
        """A listing lies about them: what is found again later is known as little as at first."""
        self._away -= {key for node in nodes if (key := self._key(node))}

    def look(self) -> None:
        """Note who serves. Called whenever something may have changed."""
        for key, node, _ in self._machines():
            if self._serves(node):
                self._since.setdefault(node.id, self._now())
                self._served[node.id] = self._now()
                self._away.discard(key)
            else:
                self._since.pop(node.id, None)

    def created(self, account: SimulatedAccount, node: SimulatedNode) -> None:
        """A surge beyond the limit is judged when it happens."""
        del account
        self.look()
        key = self._key(node)
        if key is None or not any(map(self._serves, self._rest(node))):
            return
        why = ""
        for desired in self._wants(key):
            keys = desired.nodes[key.node]
            doubled = sum(map(self._is_doubled, keys))
            surge = portion(desired.update.max_surge, len(keys))
            if doubled <= surge:
                return
            why = f"{node.id} for {key}: {doubled} at once, maxSurge {surge}"
        if why:
            self._violated(why)

    def terminating(self, account: SimulatedAccount, node: SimulatedNode) -> None:
        self.look()
        key = self._key(node)
        if key is None:
            self._violated(f"{account.name}: foreign machine {node.id} terminated")
            return
        asked = account.weather.asked
        if not self._serves(node) or self._since[node.id] > asked:
            return
        wishes = list(self._recent())
        if not self.approved and wishes and all(_surprises(key, wanted) for wanted in wishes):
            self._violated(f"{node.id} of {key} terminated, and nobody approved")
        others = [
            other for other in self._of(key) if other is not node and self._served_lately(other)
        ]
        verdicts = [self._judge(key, node, others, wanted) for wanted in wishes]
        if verdicts and all(verdicts):
            self._violated(f"{node.id} of {key} terminated: {verdicts[-1]}")
        desired = self._wishes[-1][1].get(key.deployment) if self._wishes else None
        wanted = desired is not None and key in desired.instances
        if wanted and not any(map(self._serves, self._rest(node))):
            self._away.add(key)

    def _judge(
        self, key: InstanceKey, node: SimulatedNode, others: list[SimulatedNode], wanted: Wanted
    ) -> str:
        """Why that wish does not explain the end of a serving machine; empty where it does."""
        desired = wanted.get(key.deployment)
        spec = desired.instances.get(key) if desired else None
        if desired is None or spec is None:
            return ""
        if any(self._fits(other, spec, desired) for other in others):
            return ""
        if self._fits(node, spec, desired) and not self._is_crowded(node, key, desired):
            return "healthy and wanted"
        if not self._is_known(node) and any(n.state == NodeState.RUNNING for n in self._rest(node)):
            return ""
        return self._beyond(key, desired, breaks=True)

    def _is_known(self, node: SimulatedNode) -> bool:
        """The controller has been told that it serves, and has forgotten nothing since."""
        agent = self._agents.get(self._id(node))
        told = max(agent.heard.values(), default=0.0) if agent else 0.0
        return told > max(node.omitted, self._forgotten)

    def _rest(self, node: SimulatedNode) -> list[SimulatedNode]:
        """The other machines of its instance."""
        key = self._key(node)
        return [other for other in self._of(key) if other is not node] if key else []

    def begins(self, machine: MachineId) -> None:
        """The agent is about to run another context."""
        self.look()
        node = self._find(machine)
        key = self._key(node) if node else None
        if node is None or key is None or not self._serves(node):
            return
        if any(map(self._serves, self._rest(node))):
            return
        reasons = [
            self._beyond(key, desired, breaks=False)
            for w in self._recent()
            if (desired := w.get(key.deployment)) and key in desired.instances
        ]
        if reasons and all(reasons):
            self._violated(f"{node.id} of {key} runs again: {reasons[-1]}")
        self._away.add(key)

    def _beyond(self, key: InstanceKey, desired: Desired, *, breaks: bool) -> str:
        """Why one instance more may not be taken away."""
        keys = desired.nodes[key.node]
        unavailable = portion(desired.update.max_unavailable, len(keys))
        surge = portion(desired.update.max_surge, len(keys))
        if breaks and not (unavailable > 0 or surge == 0):
            return "its replacement does not serve yet"
        away = len({*(self._away & set(keys)), key})
        if away > max(unavailable, 1):
            return f"{away} of {key.node} away at once, maxUnavailable {unavailable}"
        return ""

    def _fits(self, node: SimulatedNode, spec: InstanceSpec, desired: Desired) -> bool:
        """It is of this specification; what it has run counts where that means a replacement."""
        tags = self.tags(node)
        if tags is None or tags.machine_digest != digest_at(spec, self._id(node).cloud):
            return False
        agent = self._agents.get(self._id(node))
        ran = agent.last if agent else ""
        return desired.update.on_recipe_change != "replace" or ran == spec.work.digest

    def _is_crowded(self, node: SimulatedNode, key: InstanceKey, desired: Desired) -> bool:
        """Its cloud has more instances of the node than it is to have: one of them moves."""
        cloud, mine = self._id(node).cloud, set(desired.nodes[key.node])
        wanted = sum(desired.instances[each].machine.cloud == cloud for each in mine)
        there = {
            each
            for each, other, account in self._machines()
            if each in mine and account.name == cloud and other.is_alive
        }
        return len(there) > wanted

    def _is_doubled(self, key: InstanceKey) -> bool:
        """Two machines, one of which serves; and the cloud has not lied about them lately."""
        alive = [node for node in self._of(key) if node.is_alive and node.name != STRAY]
        lied = any(self._now() - node.omitted < PATIENCE for node in self._of(key))
        return len(alive) > 1 and any(map(self._serves, alive)) and not lied

    def _recent(self) -> Iterator[Wanted]:
        """Every wish that was the newest one within the last while."""
        since = self._now() - PATIENCE
        for (_, wanted), (end, _) in zip(
            self._wishes, [*self._wishes[1:], (float("inf"), {})], strict=True
        ):
            if end >= since:
                yield wanted

    def _wants(self, key: InstanceKey) -> Iterator[Desired]:
        for wanted in self._recent():
            desired = wanted.get(key.deployment)
            if desired is not None and key in desired.instances:
                yield desired

    def _served_lately(self, node: SimulatedNode) -> bool:
        return self._now() - self._served.get(node.id, float("-inf")) < PATIENCE

    def _serves(self, node: SimulatedNode) -> bool:
        agent = self._agents.get(self._id(node))
        return node.state == NodeState.RUNNING and agent is not None and bool(agent.serves)

    def _machines(self) -> Iterator[tuple[InstanceKey, SimulatedNode, SimulatedAccount]]:
        for account in self.accounts:
            for node in account.nodes.values():
                key = self._key(node)
                if key is not None:
                    yield key, node, account

    def _of(self, key: InstanceKey) -> list[SimulatedNode]:
        return [node for each, node, _ in self._machines() if each == key]

    def _find(self, machine: MachineId) -> SimulatedNode | None:
        return next(
            (a.nodes.get(machine.id) for a in self.accounts if a.name == machine.cloud), None
        )

    def _key(self, node: SimulatedNode) -> InstanceKey | None:
        tags = self.tags(node)
        return tags.key if tags else None

    def tags(self, node: SimulatedNode) -> Tags | None:
        """None for a foreign machine."""
        if node.id not in self._tags:
            self._tags[node.id] = from_metadata(node.metadata, INSTALLATION)
        return self._tags[node.id]

    def _id(self, node: SimulatedNode) -> MachineId:
        return MachineId(node.id.rpartition("-")[0], node.id)

    def _violated(self, what: str) -> None:
        self.violations.append(f"at {self._now():.1f} s: {what}")
        self._ended()


def _surprises(key: InstanceKey, wanted: Wanted) -> bool:
    """Losing this instance is more than a commit says by itself."""
    desired = wanted.get(key.deployment)
    if key.deployment not in wanted:
        return not wanted
    return desired is not None and not desired.instances
