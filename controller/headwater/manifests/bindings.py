"""Whether what a node binds to an input can be its value."""

from headwater.manifests.component import Input, Output
from headwater.manifests.index import Unresolved
from headwater.manifests.inheritance import FlatComponent
from headwater.manifests.resolved import Binding, Literal, Reference, Secret
from headwater.manifests.values import ParameterType, WrongValue, canonical, misfit, named

_BY_ITSELF = Output()


def typed(flat: FlatComponent) -> dict[str, ParameterType]:
    """The types of the inputs and outputs that are declared as something else than a string."""
    declared: dict[str, Input | Output] = {**flat.inputs, **flat.outputs}
    types = {name: parameter.type for name, parameter in declared.items()}
    return {name: type for name, type in types.items() if type is not ParameterType.STRING}


def fitted(flat: FlatComponent, name: str, binding: Binding) -> Binding:
    """The binding of a declared input, its literal in the one way to write it.

    Raises Unresolved. What a reference leads to is looked at by `check_reference`.
    """
    type = flat.inputs[name].type
    subject = f"input '{name}' of component '{flat.name}'"
    match binding:
        case Literal():
            return _literal(subject, type, binding)
        case Secret() if type is not ParameterType.SECRET:
            hint = f"declare it with type = \"secret\" in component '{flat.name}'"
            raise Unresolved(f"{subject} is {named(type)}, not a secret", hint)
    return binding


def check_reference(
    reference: Reference, source: FlatComponent, flat: FlatComponent, name: str
) -> None:
    """Raises Unresolved where the output of `source` cannot be the value of the input."""
    output = source.outputs.get(reference.output, _BY_ITSELF).type
    every = reference.index is None
    if why := misfit(output, flat.inputs[name].type, every=every):
        place = "[*]" if every else ""
        words = f"'{reference.node}{place}.{reference.output}' does not fit input '{name}': {why}"
        raise Unresolved(words, f"see the types in components '{source.name}' and '{flat.name}'")


def defaults(flat: FlatComponent) -> dict[str, Binding | None]:
    """What every declared input is where no node binds it. Raises Unresolved."""
    return {
        name: declared.default and fitted(flat, name, declared.default)
        for name, declared in flat.inputs.items()
    }


def _literal(subject: str, type: ParameterType, literal: Literal) -> Literal:
    if type is ParameterType.SECRET:
        hint = "write { secret = 'name' }, and renew what was written here"
        raise Unresolved(f"{subject} is a secret, which never stands in Git", hint)
    if literal.many and type not in {ParameterType.STRING, ParameterType.LIST}:
        raise Unresolved(f"{subject} is {named(type)}, not an array")
    if type is ParameterType.LIST and not literal.many:
        raise Unresolved(f"{subject} is a list", "write an array")
    try:
        return Literal(canonical(type, literal.value))
    except WrongValue as wrong:
        raise Unresolved(f"{subject} {wrong}") from None
