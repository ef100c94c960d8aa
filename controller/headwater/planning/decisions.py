"""What an action decides: its place in a plan, and what an approval of it is about."""

from headwater.planning.actions import (
    Action,
    Attach,
    Contextualise,
    Create,
    Discard,
    Retag,
    Terminate,
)


def order(action: Action) -> tuple[object, ...]:
    """Sorts the actions of a plan."""
    kinds = (Discard, Terminate, Create, Retag, Attach, Contextualise)
    match action:
        case Create():
            which = ""
        case Discard(volume) | Retag(volume):
            which = str(volume.id)
        case Attach(machine, fitting):
            which = f"{machine.id} {fitting.spec.path}"
        case Contextualise(machine) | Terminate(machine):
            which = str(machine.id)
    return (kinds.index(type(action)), action.key, which)


def decision(action: Action) -> list[object]:
    """What counts of it for a plan's digest."""
    match action:
        case Create(spec, incarnation):
            return ["create", str(spec.key), spec.machine_digest, incarnation]
        case Contextualise(machine, spec):
            return ["contextualise", str(machine.key), spec.work.digest]
        case Terminate(machine):
            lost = [volume.key.name for volume in action.volumes]
            return ["terminate", str(machine.key), machine.tags.machine_digest, *lost]
        case Attach():
            return ["attach", str(action.volume)]
        case Retag(volume, tags):
            return ["retag", str(volume.key), tags.retain]
        case Discard(volume):
            return ["discard", str(volume.key)]
