"""A plan for people and programs: text, Markdown, JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from headwater.planning.actions import (
    Action,
    Attach,
    Contextualise,
    Create,
    Discard,
    Retag,
    Terminate,
)
from headwater.planning.planner import Plan
from headwater.planning.prices import written
from headwater.planning.volume_rows import fitting_line
from headwater.planning.volume_rows import written as written_size
from headwater.topology.volumes import Volume

SYMBOLS = {"create": "+", "change": "~", "replace": "±", "delete": "-"}


@dataclass(frozen=True, slots=True)
class Line:
    """One decision: `kind` is a key of SYMBOLS."""

    kind: str
    instance: str
    detail: str
    reason: str


def lines(plan: Plan) -> tuple[Line, ...]:
    """What the plan does, one line per instance and decision.

    The recipes of a machine that is only being created are part of the creation, and the end of
    a machine that breaks before its replacement is made is part of the replacement.
    """
    created = {action.key for action in plan.actions if isinstance(action, Create)}
    return tuple(
        line
        for action in plan.actions
        if not (_replaces(action) and isinstance(action, Terminate) and action.key in created)
        for line in _lines(action)
    )


def _replaces(action: Action) -> bool:
    return action.reason.startswith("replace:")


def _lines(action: Action) -> list[Line]:
    """With the volumes that come or go with a machine."""
    mine, key = [_line(action)], action.key.instance
    match action:
        case Create(spec):
            fittings = ((each, spec.machine.cloud) for each in action.fittings)
            said = (fitting_line(each, cloud) for each, cloud in fittings)
            return mine + [Line(kind, key, detail, action.reason) for kind, detail in said]
        case Terminate(_, reason):
            return mine + [Line("delete", key, _named(v), reason) for v in action.volumes]
    return mine


def _named(volume: Volume) -> str:
    return f"volume {volume.key.name} ({volume.id.id}, {written_size(volume.size)})"


def _line(action: Action) -> Line:
    match action:
        case Attach(_, fitting, reason):
            kind, detail = fitting_line(fitting, action.machine.id.cloud)
            return Line(kind, action.key.instance, detail, reason)
        case Retag(volume, _, reason):
            return Line("change", action.key.instance, f"mark {_named(volume)}", reason)
        case Discard(volume, reason, quarantine):
            after = f", after {quarantine} of quarantine" if quarantine else ""
            return Line("delete", action.key.instance, _named(volume) + after, reason)
        case Create(spec, _, reason):
            kind = "replace" if _replaces(action) else "create"
            machine = spec.machine
            detail = f"{machine.image} on {machine.cloud}"
            return Line(kind, action.key.instance, detail, reason)
        case Contextualise(machine, spec, _, reason):
            names = ", ".join(dict.fromkeys(step.name for step in spec.work.steps)) or "no recipes"
            return Line("change", action.key.instance, f"run {names}", reason)
        case Terminate(machine, reason):
            return Line("delete", action.key.instance, machine.id.id, reason)


def counts(plans: Sequence[Plan]) -> dict[str, int]:
    """How many decisions of each kind, all kinds named."""
    totals = dict.fromkeys(SYMBOLS, 0)
    for plan in plans:
        for line in lines(plan):
            totals[line.kind] += 1
    return totals


def summary(plans: Sequence[Plan]) -> str:
    """Counts in one line: `+3 ~1 ±0 -2`."""
    totals = counts(plans)
    return " ".join(f"{symbol}{totals[kind]}" for kind, symbol in SYMBOLS.items())


def as_text(plans: Sequence[Plan]) -> str:
    """For a terminal; a plan without changes is one line."""
    blocks = [_block(plan) for plan in plans if plan.actions or _remarks(plan)]
    unchanged = sum(not (plan.actions or _remarks(plan)) for plan in plans)
    tail = f"Plan: {summary(plans)}" + (f", {unchanged} unchanged" if unchanged else "")
    if not blocks:
        tail = f"No changes: {unchanged} deployments are as the manifests say."
    return "\n\n".join([*blocks, tail]) + "\n"


def _block(plan: Plan) -> str:
    rows = [f"{plan.deployment}  (digest {plan.digest})"]
    every = lines(plan)
    width = max((len(line.instance) for line in every), default=0)
    rows += [
        f"  {SYMBOLS[line.kind]} {line.instance:<{width}}  {line.detail}  # {line.reason}"
        for line in every
    ]
    rows += [f"  {price}" for price in _price(plan)]
    rows += [f"  ! {held}" for held in _remarks(plan)]
    rows += [f"    {SYMBOLS[w.kind]} {w.instance}  {w.detail}  # {w.reason}" for w in _waits(plan)]
    return "\n".join(rows)


def _price(plan: Plan) -> list[str]:
    return [line] if plan.price and (line := written(plan.price)) else []


def _waits(plan: Plan) -> list[Line]:
    """What an approval would let through."""
    return [line for action in plan.withheld for line in _lines(action)]


def _remarks(plan: Plan) -> list[str]:
    blocked = [f"blocked: {plan.blocked}"] if plan.blocked else []
    return [*plan.held, *plan.short, *blocked, *plan.kept]


def as_markdown(plans: Sequence[Plan]) -> str:
    """For a pull request: one table per changed deployment."""
    parts = [f"**Plan: {summary(plans)}**"]
    for plan in plans:
        if not (plan.actions or _remarks(plan)):
            continue
        parts.append(f"### {plan.deployment}\n\nDigest `{plan.digest}`")
        every = lines(plan)
        if every:
            rows = ["| | Instance | What | Why |", "|---|---|---|---|"]
            rows += [
                f"| `{SYMBOLS[line.kind]}` | {line.instance} | {line.detail} | {line.reason} |"
                for line in every
            ]
            parts.append("\n".join(rows))
        parts += [price.capitalize() for price in _price(plan)]
        parts += [f"> {held}" for held in _remarks(plan)]
        if plan.withheld:
            parts.append("\n".join(f"- `{SYMBOLS[w.kind]}` {w.instance}" for w in _waits(plan)))
    return "\n\n".join(parts) + "\n"


def as_document(plans: Sequence[Plan]) -> dict[str, object]:
    """For programs: plain lists and dicts, ready for JSON."""
    return {
        "counts": counts(plans),
        "deployments": [
            {
                "name": plan.deployment,
                "digest": plan.digest,
                "held": [*plan.held, *plan.short],
                "kept": list(plan.kept),
                "blocked": plan.blocked,
                "price": asdict(plan.price) if plan.price else None,
                "withheld": [w.instance for w in _waits(plan)],
                "actions": [
                    {
                        "kind": line.kind,
                        "instance": line.instance,
                        "detail": line.detail,
                        "reason": line.reason,
                    }
                    for line in lines(plan)
                ],
            }
            for plan in plans
        ],
    }
