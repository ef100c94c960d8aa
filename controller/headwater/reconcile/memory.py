"""What tasks go by, of each deployment: its hooks outlive its manifest, and a restart."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from headwater.planning.actions import Create
from headwater.planning.records import Live
from headwater.reconcile.ledger import HOOKS, LIVE, REPLACES, Ledger
from headwater.topology.desired import Desired
from headwater.topology.hooks import Hooks
from headwater.topology.keys import InstanceKey

_T = TypeVar("_T")
_HOOKS: TypeAdapter[Mapping[str, Hooks]] = TypeAdapter(Mapping[str, Hooks])
_LIVE = TypeAdapter(Live)
_REPLACES: TypeAdapter[Mapping[str, int]] = TypeAdapter(Mapping[str, int])


class Memory:
    """Notes of the ledger, read once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._wanted: dict[str, Desired] = {}
        self._hooks: dict[str, Mapping[str, Hooks]] = {}
        self._live: dict[str, Live] = {}
        self._replaces: dict[str, Mapping[InstanceKey, int]] = {}

    def want(self, desired: Desired) -> None:
        """Nodes that have no instance any more keep what was said of them last."""
        if self._wanted.get(desired.name) is desired:
            return
        present = {spec.key.node: spec.hooks for spec in desired.instances.values()}
        before = self.hooks(desired.name)
        kept = {node: hooks for node, hooks in before.items() if node not in present}
        asked = {node: hooks for node, hooks in present.items() if not hooks.is_empty}
        hooks: Mapping[str, Hooks] = kept | asked
        if hooks != before:
            content = _HOOKS.dump_python(hooks, mode="json")
            self._ledger.set_note(f"{HOOKS}/{desired.name}", content or None)
            self._hooks[desired.name] = hooks
        self._wanted[desired.name] = desired

    def hooks(self, name: str) -> Mapping[str, Hooks]:
        """By node; nodes without any are not in it."""
        if name not in self._hooks:
            self._hooks[name] = self._read(_HOOKS, f"{HOOKS}/{name}", {})
        return self._hooks[name]

    def live(self, name: str) -> Live:
        if name not in self._live:
            self._live[name] = self._read(_LIVE, f"{LIVE}/{name}", Live())
        return self._live[name]

    def set_live(self, name: str, live: Live) -> None:
        self._ledger.set_note(f"{LIVE}/{name}", _LIVE.dump_python(live, mode="json"))
        self._live[name] = live

    def replaces(self, name: str) -> Mapping[InstanceKey, int]:
        """Incarnations that were made in place of an outdated machine."""
        if name not in self._replaces:
            known = self._read(_REPLACES, f"{REPLACES}/{name}", {})
            self._replaces[name] = {_key(name, instance): n for instance, n in known.items()}
        return self._replaces[name]

    def makes(self, name: str, actions: Iterable[Create]) -> None:
        """Durable before a cloud is asked."""
        before = self.replaces(name)
        after = dict(before)
        for action in actions:
            after.pop(action.key, None)
            if action.reason.startswith("replace:"):
                after[action.key] = action.incarnation
        if after != before:
            content = {key.instance: number for key, number in after.items()}
            self._ledger.set_note(f"{REPLACES}/{name}", content or None)
            self._replaces[name] = after

    def forget(self, name: str) -> None:
        """The ledger has forgotten the deployment."""
        for known in (self._wanted, self._hooks, self._live, self._replaces):
            known.pop(name, None)

    def _read(self, adapter: "TypeAdapter[_T]", note: str, default: _T) -> _T:
        content = self._ledger.note(note)
        try:
            return default if content is None else adapter.validate_python(content)
        except ValidationError:
            return default


def _key(deployment: str, instance: str) -> InstanceKey:
    node, _, index = instance.rpartition(".")
    return InstanceKey(deployment, node, int(index))
