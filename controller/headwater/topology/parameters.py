"""Runtime parameters: how a key is read, who may write it, and what a value follows from.

The forms of a key are SlipStream's (semantics.md 7): `name` is the asker's own, `node.name` and
`node:name` instance 1 of a node, `node.N:name` any instance, `node:multiplicity`, `node:ids`,
`ss:state` and `ss:abort`.
"""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches

from headwater.manifests.resolved import Literal, Reference, Secret
from headwater.manifests.values import ParameterType
from headwater.topology.desired import Desired, InstanceSpec
from headwater.topology.keys import InstanceKey
from headwater.topology.secrets import SecretValue, Value

GIVEN = frozenset({"hostname", "instanceId", "state", "id", "nodename"})
"""Told of every instance by the controller."""
FACTS = GIVEN | {"statecustom"}
"""Known of every instance without being declared."""
CPUS = "cpu.nb"
"""The seed's name for how many the manifest asks for; unknown where it asks for a size by name."""
ALIASES = {"instanceid": "instanceId"}

_QUALIFIED = re.compile(r"^(?P<node>[a-z][a-z0-9-]*)(?:\.(?P<index>[0-9]+))?:(?P<name>.+)$")

Source = tuple[InstanceKey, str]
"""An output or fact of an instance."""
Lookup = Callable[[InstanceKey, str], Value | None]
"""The value of one, or of an input that is bound to a secret; None while it is not set."""


class UnknownKey(Exception):
    """The key names nothing in this deployment; the text says so and suggests."""


@dataclass(frozen=True, slots=True)
class InstanceValue:
    key: InstanceKey
    name: str


@dataclass(frozen=True, slots=True)
class NodeValue:
    node: str
    name: str
    """`multiplicity` or `ids`."""


@dataclass(frozen=True, slots=True)
class RunValue:
    name: str
    """`state` or `abort`."""


Address = InstanceValue | NodeValue | RunValue


def parse_key(text: str, asker: InstanceKey, desired: Desired) -> Address:
    """What `text` means to `asker`. Raises UnknownKey."""
    own = desired.instances.get(asker)
    if own is not None and is_readable(own, text):
        return InstanceValue(asker, ALIASES.get(text, text))
    if text in {"multiplicity", "ids"}:
        return NodeValue(asker.node, text)
    if text in {"ss:state", "ss:abort"}:
        return RunValue(text.removeprefix("ss:"))
    if match := _QUALIFIED.match(text):
        node, index, name = match["node"], match["index"], match["name"]
        if index is None and name in {"multiplicity", "ids"} and node in desired.nodes:
            return NodeValue(node, name)
        return _of_instance(
            text, InstanceKey(asker.deployment, node, int(index or 1)), name, desired
        )
    node, dot, name = text.partition(".")
    if dot and node in desired.nodes:
        return _of_instance(text, InstanceKey(asker.deployment, node, 1), name, desired)
    raise UnknownKey(_unknown(text, asker, desired))


def _of_instance(text: str, key: InstanceKey, name: str, desired: Desired) -> InstanceValue:
    spec = desired.instances.get(key)
    if spec is None:
        raise UnknownKey(f"unknown key '{text}': {desired.name} has no instance {key.instance}")
    if not is_readable(spec, name):
        raise UnknownKey(_unknown(text, key, desired))
    return InstanceValue(key, ALIASES.get(name, name))


def is_readable(spec: InstanceSpec, name: str) -> bool:
    known = name in FACTS or name in ALIASES or (name == CPUS and spec.machine.size.cpus)
    return bool(known) or name in spec.work.inputs or is_writable(spec, name)


def is_writable(spec: InstanceSpec, name: str) -> bool:
    """A machine writes its own declared outputs, its links, and what it displays of itself."""
    return name in spec.work.outputs or name.startswith("url.") or name == "statecustom"


def type_of(spec: InstanceSpec, name: str) -> ParameterType:
    return spec.work.types.get(name, ParameterType.STRING)


def is_secret(address: InstanceValue, desired: Desired) -> bool:
    spec = desired.instances.get(address.key)
    return spec is not None and type_of(spec, address.name) is ParameterType.SECRET


def secret_of(key: InstanceKey, name: str, desired: Desired) -> str | None:
    """The secret by name that an instance's input is bound to."""
    spec = desired.instances.get(key)
    bound = spec.work.inputs.get(name) if spec else None
    return bound.name if isinstance(bound, Secret) else None


def key_to_read(text: str, asker: InstanceKey, desired: Desired) -> Address:
    """The same for who asks for the value. Raises UnknownKey also for another one's secret."""
    address = parse_key(text, asker, desired)
    if isinstance(address, InstanceValue) and not _may_read(address, asker, desired):
        hint = "an input that refers to it may read it: { from = '...' }, with type = \"secret\""
        raise UnknownKey(f"{text} is a secret of {address.key.instance}: {hint}")
    return address


def _may_read(address: InstanceValue, asker: InstanceKey, desired: Desired) -> bool:
    """A secret is its own instance's, and of those whose inputs refer to it."""
    if address.key == asker or not is_secret(address, desired):
        return True
    spec = desired.instances.get(asker)
    return spec is not None and any(
        (address.key, address.name) in sources(bound, desired)
        for bound in spec.work.inputs.values()
        if isinstance(bound, Reference)
    )


def _unknown(text: str, asker: InstanceKey, desired: Desired) -> str:
    spec = desired.instances.get(asker)
    names = {*FACTS, *(spec.work.inputs if spec else ()), *(spec.work.outputs if spec else ())}
    near = get_close_matches(text.rpartition(":")[2], sorted(names), n=1)
    hint = f"; did you mean '{near[0]}'?" if near else "; declare it as an output of its component"
    return f"unknown key '{text}'{hint}"


def living(desired: Desired, lost: Collection[InstanceKey]) -> Desired:
    """The deployment as references see it: `node[*].x` is of those that are not lost."""
    if not lost:
        return desired
    nodes = {
        node: tuple(key for key in keys if key not in lost) for node, keys in desired.nodes.items()
    }
    return replace(desired, nodes=nodes)


def sources(reference: Reference, desired: Desired) -> Iterator[Source]:
    """The outputs that a reference reads, in the order of indexes."""
    for key in desired.nodes.get(reference.node, ()):
        if reference.index is None or key.index == reference.index:
            yield key, ALIASES.get(reference.output, reference.output)


def missing(address: InstanceValue, desired: Desired, lookup: Lookup) -> Iterator[Source]:
    """The outputs that must be set before the value is known."""
    bound = _bound(address, desired)
    if isinstance(bound, Reference):
        every = list(sources(bound, desired))
        if not every and bound.index is not None:
            yield InstanceKey(desired.name, bound.node, bound.index), bound.output
        yield from (source for source in every if lookup(*source) is None)
    elif bound is None and lookup(address.key, address.name) is None:
        yield address.key, address.name


def read(address: InstanceValue, desired: Desired, lookup: Lookup) -> Value | None:
    """The value, or None while it is not set. A list has one item per line."""
    match _bound(address, desired):
        case Literal(value):
            return value
        case Reference() as reference:
            values = [lookup(*source) for source in sources(reference, desired)]
            known = [value for value in values if value is not None]
            complete = len(known) == len(values) and (known or reference.index is None)
            return _joined(known) if complete else None
        case _:
            return lookup(address.key, address.name)


def _joined(values: list[Value]) -> Value:
    texts = [value for value in values if isinstance(value, str)]
    return "\n".join(texts) if len(texts) == len(values) else SecretValue.joined(values)


def _bound(address: InstanceValue, desired: Desired) -> object | None:
    spec = desired.instances.get(address.key)
    if spec is None:
        return None
    if address.name not in spec.work.inputs:
        cpus = spec.machine.size.cpus
        given = address.name == CPUS and cpus and not is_writable(spec, CPUS)
        return Literal(str(cpus)) if given else None
    bound = spec.work.inputs[address.name]
    if bound is None and not is_writable(spec, address.name):
        return Literal("")  # Optional and not bound: nobody will ever set it.
    return bound


def follows(bound: object) -> bool:
    """Its value may change while the manifest does not."""
    return isinstance(bound, Reference | Secret)


def referenced_inputs(spec: InstanceSpec, desired: Desired, lookup: Lookup) -> dict[str, Value]:
    """The present values of all inputs that follow outputs or secrets, where they are known."""
    values = {
        name: read(InstanceValue(spec.key, name), desired, lookup)
        for name, bound in spec.work.inputs.items()
        if follows(bound)
    }
    return {name: value for name, value in values.items() if value is not None}
