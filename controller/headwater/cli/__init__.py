"""The command line: thin verbs, each loaded when it is called."""

import click

from headwater.cli.group import LazyGroup, Verb, show_version

_VERBS = {
    "run": Verb("headwater.cli.run:run", "Watch a repository and keep its systems running."),
    "plan": Verb("headwater.cli.plan:plan", "Show what would happen for a revision."),
    "validate": Verb("headwater.cli.validate:validate", "Check manifests."),
    "status": Verb("headwater.cli.status:status", "Show deployments, or one with its instances."),
    "wait": Verb("headwater.cli.wait:wait", "Wait until a deployment is Ready."),
    "params": Verb("headwater.cli.params:params", "Show the runtime parameters of a deployment."),
    "logs": Verb("headwater.cli.logs:logs", "Show what recipes printed."),
    "reports": Verb("headwater.cli.reports:reports", "Show or fetch the reports of a deployment."),
    "ssh": Verb("headwater.cli.ssh:ssh", "Open a shell on an instance, or run a command there."),
    "runs": Verb("headwater.cli.runs:runs", "Show the last runs, and what became of them."),
    "test": Verb("headwater.cli.test:test", "Run a deployment as a test, for pipelines."),
    "retry": Verb("headwater.cli.control:retry", "Try again what failed."),
    "abort": Verb("headwater.cli.control:abort", "Stop the run of a deployment."),
    "approve": Verb("headwater.cli.control:approve", "Let a plan through that is held back."),
    "suspend": Verb("headwater.cli.control:suspend", "Leave a deployment as it is for a while."),
    "resume": Verb("headwater.cli.control:resume", "End a suspension."),
    "schema": Verb("headwater.cli.schema:schema", "Write JSON Schemas and CRDs."),
    "cloud": Verb("headwater.cli.cloud:group", "Check a cloud against the manifests."),
    "local": Verb("headwater.cli.local:group", "Look after the machines of the embedded cloud."),
    "demo": Verb("headwater.cli.demo:demo", "See it work, on this host, in a minute."),
}


@click.group(cls=LazyGroup, verbs=_VERBS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda ctx, _, wanted: show_version(ctx) if wanted else None,
    help="Show the version.",
)
def main() -> None:
    """Keep multi-machine systems as a Git repository says.

    Start with `headwater demo`, then `headwater run --repo URL`.
    """
