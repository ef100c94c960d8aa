"""What a machine may be asked beside its contextualisation: hooks, and the report."""

from collections.abc import Mapping
from dataclasses import dataclass

from headwater.manifests.resolved import RecipeKind, ResolvedDeployment, ResolvedNode
from headwater.topology.context import Step

NAMES = {
    RecipeKind.REPORT: "report",
    RecipeKind.ON_INSTANCE_ADD: "on-instance-add",
    RecipeKind.ON_INSTANCE_REMOVE: "on-instance-remove",
    RecipeKind.PRE_SCALE: "pre-scale",
    RecipeKind.POST_SCALE: "post-scale",
}
"""As steps are named: what is no part of the contextualisation."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """A node's, the same for all of its instances. A difference here begins no re-run."""

    user: str
    """Who logs in: a machine is still talked to when its manifest is gone."""
    steps: Mapping[RecipeKind, tuple[Step, ...]]
    """By kind, inherited ones root first; kinds without a recipe are not in it."""
    is_test: bool
    """Its run is over when its reports are in: nothing goes on running that could change them."""
    report_timeout: float
    """Seconds for what is done before a machine goes, and for a report."""
    execute_timeout: float
    """Seconds for a hook on a machine that stays."""

    @property
    def reports(self) -> bool:
        """A test reports what its recipes left, also without a recipe for it."""
        return self.is_test or RecipeKind.REPORT in self.steps

    @property
    def is_empty(self) -> bool:
        return not (self.reports or self.steps)

    def has(self, *kinds: RecipeKind) -> bool:
        return any(kind in self.steps for kind in kinds)


def hooks(deployment: ResolvedDeployment, node: ResolvedNode, user: str) -> Hooks:
    return Hooks(
        user=user,
        steps={
            kind: tuple(Step(name, recipe.component, recipe.text) for recipe in recipes)
            for kind, name in NAMES.items()
            if (recipes := node.recipes.get(kind, ()))
        },
        is_test=deployment.lifecycle == "test",
        report_timeout=deployment.report_timeout,
        execute_timeout=deployment.execute_timeout,
    )


def fingerprint(hooks: Hooks) -> list[object]:
    """What counts in the digest of a deployment; empty where there is nothing to ask."""
    if hooks.is_empty:
        return []
    steps = [[kind.value, [s.script for s in steps]] for kind, steps in hooks.steps.items()]
    return [hooks.is_test, hooks.report_timeout, *sorted(steps)]
