"""The exchange as people see it."""

from collections.abc import Iterator

from headwater.planning.status import ParameterView
from headwater.reconcile.exchange import Exchange
from headwater.reconcile.ledger import Ledger
from headwater.topology.keys import InstanceKey
from headwater.topology.parameters import InstanceValue, read

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
    work = system.desired.instances[key].work
    lookup = exchange.lookup(system)
    lead = system.leads.get(key)
    written = ledger.values.get(lead, {}) if lead else {}
    for name in BUILT_IN:
        yield ParameterView(key.instance, name, lookup(key, name), "headwater")
    for name in sorted(work.inputs):
        value = read(InstanceValue(key, name), system.living, lookup)
        yield ParameterView(key.instance, name, value, "manifest")
    for name in sorted({*work.outputs, *written} - {*BUILT_IN}):
        output, at = written.get(name, (None, None))
        yield ParameterView(key.instance, name, output, key.instance, at)
