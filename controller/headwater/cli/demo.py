"""`headwater demo`: the whole of it, on this host, in a scratch directory."""

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from headwater.cli.run import DRAIN
from headwater.errors import Stalled
from headwater.settings import Settings

if TYPE_CHECKING:
    from headwater.app import Running

SHOWN = "hello-world"
SHARED = ("clouds", "images", "components", SHOWN)
DEADLINE = 120.0
"""Seconds for hello-world; it takes a few."""

NEXT = (
    ("export PATH={programs}:$PATH HEADWATER_STATE={state}", ""),
    ("headwater status {shown} --watch", "what is there, and what becomes of it"),
    ("headwater ssh {shown} apache1 -- hostname", "onto a machine"),
    ("headwater local kill {victim}", "a machine dies: watch it come back"),
    ("cd {repository}", ""),
    ("sed -i 's/^component = \"testclient\"/&\\nreplicas = 3/' {manifest}", ""),
    ("git commit -qam 'Three clients'", "scale it by a commit"),
    ("echo 'replica = 3' >> {manifest}", ""),
    ("git commit -qam 'Break it'", "a mistake: what runs goes on"),
    ("git log --notes=headwater", "the answers, on the commits"),
)


@click.command()
@click.option("--hold/--no-hold", default=None, help="Keep it running.  [default: on a terminal]")
@click.option(
    "--level",
    type=click.Choice(["auto", "process", "sandbox", "machine"]),
    default="auto",
    help="Isolation of the machines.",
)
def demo(*, hold: bool | None, level: str) -> None:
    """Bring up hello-world from a repository of its own, show it, and clean up."""
    hold = sys.stdin.isatty() and sys.stdout.isatty() if hold is None else hold
    scratch = Path(tempfile.mkdtemp(prefix="headwater-demo-"))
    try:
        asyncio.run(_demo(scratch, level, hold=hold))
    except asyncio.CancelledError:
        raise click.Abort from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


async def _demo(scratch: Path, level: str, *, hold: bool) -> None:
    from rich.console import Console  # noqa: PLC0415  # start-up time

    from headwater.app import assemble, now  # noqa: PLC0415
    from headwater.reporting.progress import Progress  # noqa: PLC0415
    from headwater.source.scratch import make_repository  # noqa: PLC0415

    repository = scratch / "repository"
    make_repository(repository, _files(level), "Hello, world")
    click.echo(f"A repository with one commit: {repository}")
    settings = Settings(
        repository=str(repository), state=scratch / "state", listen="127.0.0.1:0", resync=2.0
    )
    _clean_up_when_asked_to_end()
    async with assemble(settings) as running:
        work = asyncio.create_task(running.loop.run())
        try:
            with Progress(Console(), running.controller.status, now) as progress:
                running.listeners.append(progress)
                await _until_ready(running, work)
                running.listeners.remove(progress)
            _show(running, repository, settings.state)
            if hold:
                click.echo("Press Enter to end and clean up.")
                await _enter_pressed()
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN):
                    await running.loop.drain()
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await _clean_up(running)


def _clean_up_when_asked_to_end() -> None:
    """Also without a word from the keyboard: a terminal that closes, a script that gives up."""
    if (main := asyncio.current_task()) is not None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, main.cancel)


async def _enter_pressed() -> None:
    """Until standard input says something, or ends. A thread that reads could not be cancelled."""
    loop, pressed = asyncio.get_running_loop(), asyncio.Event()
    try:
        loop.add_reader(sys.stdin.fileno(), pressed.set)
    except PermissionError:  # A file: there is nobody to wait for.
        return
    try:
        await pressed.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())


async def _until_ready(running: "Running", work: "asyncio.Task[None]") -> None:
    settled = asyncio.create_task(running.loop.wait_settled())
    done, _ = await asyncio.wait(
        {settled, work}, timeout=DEADLINE, return_when=asyncio.FIRST_COMPLETED
    )
    settled.cancel()
    if work in done:
        work.result()
    if not running.loop.succeeded:
        status = running.controller.status()
        why = [status.source_error, *status.diagnostics]
        why += [c.message for d in status.deployments for c in d.conditions if c.message]
        raise Stalled(f"{SHOWN} did not become Ready: " + ("; ".join(filter(None, why)) or "late"))


def _show(running: "Running", repository: Path, state: Path) -> None:
    from headwater.cli.output import show  # noqa: PLC0415
    from headwater.reporting import tables  # noqa: PLC0415

    status = running.controller.status()
    shown = next(d for d in status.deployments if d.name == SHOWN)
    show(
        tables.instances(shown),
        *tables.parameters(running.controller.parameters(SHOWN)),
        tables.clouds(status),
    )
    manifest = repository / SHOWN / "deployment.toml"
    victim = next(i.machine for i in shown.instances)
    names = {
        "programs": Path(sys.argv[0]).absolute().parent,
        "state": state,
        "shown": SHOWN,
        "victim": victim,
        "repository": repository,
        "manifest": manifest.relative_to(repository),
    }
    click.echo("\nWhat to try next, in another shell:\n")
    for command, why in NEXT:
        line = command.format_map(names)
        click.echo(f"  {line:<46}  # {why}" if why else f"  {line}")
    click.echo()


async def _clean_up(running: "Running") -> None:
    """Machines outlive their controller: these are removed with it."""
    observer, clouds = running.loop.observer, running.loop.clouds
    machines = [m for name in observer.deployments() for m in observer.machines(name)]
    await asyncio.gather(*(clouds.terminate(machine) for machine in machines))
    click.echo(f"Cleaned up: {len(machines)} machines removed.")


def examples() -> Path:
    """The examples that come with Headwater: in the wheel, or in the checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "examples"
    return inside if inside.is_dir() else package.parents[1] / "examples-repo"


def _files(level: str) -> Mapping[str, bytes]:
    root = examples()
    files = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for folder in SHARED
        for path in sorted((root / folder).rglob("*"))
        if path.is_file()
    }
    if level != "auto":
        text = files["clouds/local.toml"].decode() + f'options = {{ level = "{level}" }}\n'
        files["clouds/local.toml"] = text.encode()
    return files
