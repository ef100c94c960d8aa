"""A cloud that misbehaves: two libcloud drivers over accounts in memory, on a virtual clock.

What they do wrong was seen of real ones: listings that lag behind (EC2: "eventual consistency"),
client tokens that name a terminated machine, 404 for what is already gone (OpenStack), quotas.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Protocol
from unittest.mock import patch

from libcloud.common.exceptions import BaseHTTPError
from libcloud.common.types import MalformedResponseError
from libcloud.compute.base import Node, NodeDriver, NodeSize
from libcloud.compute.providers import DRIVERS
from libcloud.compute.types import NodeState

from fakes.builders import NOON
from faults.weather import Fault, Weather
from headwater.cloud import provider

PAGE = 3
REMEMBERED = 300.0
"""Seconds for which EC2 lists what is terminated: an hour, in truth."""
HOST_KEY = "ssh-ed25519 AAAAhost"
ALIVE = frozenset({NodeState.PENDING, NodeState.RUNNING})


class Killed(BaseException):
    """The controller dies in the middle of this call; what was done is done."""


@dataclass
class SimulatedNode:
    id: str
    name: str
    metadata: dict[str, str]
    address: str
    born: float
    boots: float
    """When it has booted."""
    dies: bool = False
    """It never boots, and is found dead then."""
    state: NodeState = NodeState.PENDING
    """The truth."""
    shown: list[tuple[float, NodeState]] = field(default_factory=list)
    """From when on the cloud's listings tell which state."""
    omitted: float = float("-inf")
    """When a listing that claimed to be whole last lacked it."""

    @property
    def is_alive(self) -> bool:
        return self.state in ALIVE


class Watch(Protocol):
    """Who sees everything that happens at the clouds, at the moment when it happens."""

    def created(self, account: "SimulatedAccount", node: SimulatedNode) -> None: ...

    def terminating(self, account: "SimulatedAccount", node: SimulatedNode) -> None: ...

    def omitted(self, nodes: Iterable[SimulatedNode]) -> None: ...


class SimulatedAccount:
    """`limit`: machines that the cloud admits. `tokens`: a repeated creation is recognised."""

    def __init__(self, name: str, weather: Weather, watch: Watch, *, tokens: bool) -> None:
        self.name = name
        self.weather = weather
        self.watch = watch
        self.tokens = tokens
        self.limit = 1000
        self.nodes: dict[str, SimulatedNode] = {}
        self._by_token: dict[str, SimulatedNode] = {}

    def node(self, id: str) -> SimulatedNode | None:
        node = self.nodes.get(id)
        return None if node is None else self._settled(node)

    def alive(self) -> list[SimulatedNode]:
        return [node for node in self.nodes.values() if self._settled(node).is_alive]

    def listing(self) -> list[SimulatedNode]:
        """What the cloud shows, which is not always what is there."""
        self._refuse(Fault.LIST_REFUSED, Fault.LIST_THROTTLED)
        if self.weather.strikes(Fault.LIST_HTML):
            raise MalformedResponseError("not XML", body="<html>maintenance</html>")
        shown = [node for node in self.nodes.values() if self._shows(node) is not None]
        if len(shown) > PAGE and self.weather.strikes(Fault.LIST_TRUNCATED):
            raise ConnectionResetError(f"after {PAGE} of {len(shown)} machines")
        if self.weather.strikes(Fault.LIST_EMPTY):
            self._omit(shown)
            return []
        if self.weather.strikes(Fault.LIST_PARTIAL):
            gone = [node for node in shown if self.weather.dice.random() < 0.5]
            self._omit(gone)
            return [node for node in shown if node not in gone]
        return shown

    def create(self, name: str, metadata: dict[str, str], token: str) -> SimulatedNode:
        self._refuse(Fault.CREATE_REFUSED, Fault.CREATE_THROTTLED)
        if self.weather.strikes(Fault.CREATE_FULL):
            raise _error(500, "InsufficientInstanceCapacity: no room on any host")
        node = self._by_token.get(token) if self.tokens else None
        if node is None:
            if self.weather.strikes(Fault.CREATE_QUOTA) or len(self.alive()) >= self.limit:
                raise _error(403, "InstanceLimitExceeded: Quota exceeded for instances")
            node = self.make(name, metadata)
            self._by_token[token] = node
            self.weather.tell(f"cloud made {node.id} as {name}")
            self.watch.created(self, node)
        if self.weather.strikes(Fault.CREATE_LOST):
            raise ConnectionResetError("after the request was sent")
        if self.weather.strikes(Fault.CREATE_KILLED):
            raise Killed
        return node

    def make(self, name: str, metadata: dict[str, str]) -> SimulatedNode:
        """A machine appears, whoever made it."""
        number = len(self.nodes) + 1
        node = SimulatedNode(
            id=f"{self.name}-{number}",
            name=name,
            metadata=metadata,
            address=f"{self.name}.{number}",
            born=_now(),
            boots=_now() + self.weather.dice.choice([0.1, 2.0, 20.0, 45.0]),
            dies=self.weather.strikes(Fault.BOOT_DEATH),
        )
        self.nodes[node.id] = node
        self._show(node, _now())
        return node

    def destroy(self, id: str) -> None:
        self._refuse(Fault.DESTROY_REFUSED, Fault.DESTROY_THROTTLED)
        node = self.node(id)
        if node is None or (node.state == NodeState.TERMINATED and not self.tokens):
            raise _error(404, f"Instance {id} could not be found")
        if node.state != NodeState.TERMINATED:
            self.weather.tell(f"cloud ends {node.id} {node.name}")
            self.watch.terminating(self, node)
            self.become(node, NodeState.TERMINATED)
        if self.weather.strikes(Fault.DESTROY_LOST):
            raise ConnectionResetError("after the request was sent")

    def become(self, node: SimulatedNode, state: NodeState) -> None:
        node.state = state
        self._show(node, _now())

    def _settled(self, node: SimulatedNode) -> SimulatedNode:
        if node.state == NodeState.PENDING and _now() >= node.boots:
            node.state = NodeState.ERROR if node.dies else NodeState.RUNNING
            self._show(node, node.boots)
        return node

    def _show(self, node: SimulatedNode, since: float) -> None:
        if self.weather.strikes(Fault.LATE_LISTING):
            since += self.weather.dice.choice([1.0, 8.0, 30.0])
        if node.shown:
            since = max(since, node.shown[-1][0])
        node.shown.append((since, node.state))

    def _shows(self, node: SimulatedNode) -> NodeState | None:
        """None where the listing has no such machine."""
        self._settled(node)
        now = _now()
        for since, state in reversed(node.shown):
            if since <= now:
                forgotten = now - since > REMEMBERED if self.tokens else True
                return None if state == NodeState.TERMINATED and forgotten else state
        return None

    def shown(self, node: SimulatedNode) -> NodeState:
        return self._shows(node) or node.state

    def _omit(self, nodes: list[SimulatedNode]) -> None:
        for node in nodes:
            node.omitted = _now()
        self.watch.omitted(nodes)

    def _refuse(self, refused: Fault, throttled: Fault) -> None:
        if self.weather.strikes(refused):
            raise _error(503, "Unavailable: The service is unavailable. Please try again shortly.")
        if self.weather.strikes(throttled):
            raise _error(429, "RequestLimitExceeded: Request limit exceeded.")


class SimulatedDriver(NodeDriver):
    """As OpenStack's: no tokens, and what is terminated is gone."""

    type = "simulated"
    name = "Simulated"
    website = ""
    features = {"create_node": ["ssh_key", "host_key"]}  # noqa: RUF012  # libcloud's form

    def __init__(self, account: SimulatedAccount) -> None:
        super().__init__("key")  # type: ignore[no-untyped-call]
        self._account = account

    def list_nodes(self) -> list[Node]:
        return [self._node(node) for node in self._account.listing()]

    def list_sizes(self, location: Any = None) -> list[NodeSize]:
        del location
        return [NodeSize("small", "small", 2048, 20, None, 0.1, self, {"vcpus": 8})]

    def create_node(self, name, size, image, auth, ex_metadata):  # type: ignore[override]
        del size, image, auth
        return self._node(self._account.create(name, dict(ex_metadata), ""))

    def destroy_node(self, node: Node) -> bool:
        self._account.destroy(str(node.id))
        return True

    def _node(self, node: SimulatedNode) -> Node:
        return Node(
            node.id,
            node.name,
            self._account.shown(node),
            [node.address],
            [],
            self,
            created_at=NOON + timedelta(seconds=node.born),
            extra={"metadata": dict(node.metadata), "host_key": HOST_KEY},
        )


class TokenDriver(SimulatedDriver):
    """As EC2's: a token for each creation, and what is terminated is listed as such."""

    def create_node(self, name, size, image, auth, ex_metadata, ex_clienttoken):  # type: ignore[override]  # noqa: PLR0917  # as libcloud calls it
        del size, image, auth
        return self._node(self._account.create(name, dict(ex_metadata), ex_clienttoken))


@contextmanager
def registered() -> Iterator[None]:
    """libcloud knows the drivers as `openstack` and `ec2`: by these names errors are classified."""
    names: dict[Any, Any] = DRIVERS
    before = {name: names[name] for name in ("openstack", "ec2")}
    for name, driver in (("openstack", SimulatedDriver), ("ec2", TokenDriver)):
        names[name] = (driver.__module__, driver.__name__)
    try:
        with patch.object(provider, "entry_points", cache(entry_points)):
            yield
    finally:
        names.update(before)


class SimulatedThreads(Executor):
    """An account's threads on the virtual clock: calls take their time, `width` at once.

    A call acts in the middle of its time. `killed` is called when the controller dies in one.
    """

    def __init__(self, width: int, weather: Weather, killed: Callable[[], None]) -> None:
        self._free = width
        self._weather = weather
        self._killed = killed
        self._queue: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._queue.append((future, lambda: fn(*args, **kwargs)))
        self._start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """The process is gone: what has not begun never will."""
        del wait, cancel_futures
        self._queue.clear()

    def _start(self) -> None:
        while self._free and self._queue:
            future, call = self._queue.pop(0)
            if not future.set_running_or_notify_cancel():
                continue
            self._free -= 1
            slow = self._weather.strikes(Fault.SLOW_CALL)
            half = self._weather.dice.choice([40.0, 200.0] if slow else [0.02, 0.1, 0.5])
            asyncio.get_running_loop().call_later(half, self._act, future, call, half)

    def _act(self, future: Future[Any], call: Callable[[], Any], half: float) -> None:
        self._weather.asked = _now() - half
        answer: Callable[[], None]
        try:
            result = call()
        except Exception as error:  # noqa: BLE001  # handed over, as a thread does
            failed = error
            answer = lambda: future.set_exception(failed)  # noqa: E731
        except Killed:
            self._killed()
            return
        else:
            answer = lambda: future.set_result(result)  # noqa: E731
        asyncio.get_running_loop().call_later(half, self._answer, answer)

    def _answer(self, answer: Callable[[], None]) -> None:
        answer()
        self._free += 1
        self._start()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _error(code: int, message: str) -> Exception:
    error: Exception = BaseHTTPError(code, message)  # type: ignore[no-untyped-call]
    return error
