"""The exchange as people see it."""

from collections.abc import Iterator

from headwater.planning.status import ParameterView
from headwater.reconcile.exchange import Exchange
from headwater.reconcile.ledger import Ledger
from headwater.topology.keys import InstanceKey
from headwater.topology.parameters import InstanceValue, read, type_of
from headwater.topology.secrets import HIDDEN, SecretValue, Value

BUILT_IN = ("hostname", "instanceId")


def parameters(deployment: str, exchange: Exchange, ledger: Ledger) -> tuple[ParameterView, ...]:
    """Every parameter of every instance: facts, inputs, outputs."""
    system = exchange.system(deployment)
    if system is None:
        return ()
    return tuple(
        view for key in system.desired.instances for view in _of_instance(key, exchange, ledger)
    )


def _of_instance(key: InstanceKey, exchange: Exchange, ledger: Ledger) -> Iterator[ParameterView]:
    system = exchange.system(key.deployment)
    if system is None:
        return
    spec = system.desired.instances[key]
    work = spec.work
    lookup = exchange.lookup(system)
    lead = system.leads.get(key)
    written = ledger.values.get(lead, {}) if lead else {}
    for name in BUILT_IN:
        yield ParameterView(key.instance, name, _shown(lookup(key, name)), "headwater")
    for name in sorted(work.inputs):
        value = read(InstanceValue(key, name), system.living, lookup)
        yield ParameterView(
            key.instance, name, _shown(value), "manifest", type=str(type_of(spec, name))
        )
    for name in sorted({*work.outputs, *written} - {*BUILT_IN}):
        _, at = written.get(name, (None, None))
        yield ParameterView(
            key.instance,
            name,
            _shown(lookup(key, name)),
            key.instance,
            at,
            type=str(type_of(spec, name)),
        )


def _shown(value: Value | None) -> str | None:
    return HIDDEN if isinstance(value, SecretValue) else value
