"""`headwater run`: the controller itself."""

import asyncio
import signal
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import click

from headwater.cli.options import Duration
from headwater.settings import Settings, load

TIMED_OUT = 3
FAILED = 1
DRAIN = 8.0
"""Seconds for the passes under way; cut off, they are taken up again by the next start."""


@click.command()
@click.option("--repo", "repository", metavar="URL", help="Local path or any URL of a repository.")
@click.option("--branch", metavar="B", help="The branch to follow.  [default: main]")
@click.option("--path", metavar="P", help="Only manifests below this folder count.")
@click.option(
    "--state", type=click.Path(path_type=Path), help="Default: $HEADWATER_STATE or .headwater."
)
@click.option("--listen", metavar="HOST:PORT", help="Metrics and read-only API; '' for none.")
@click.option("--until-ready", is_flag=True, help="End when everything is Ready or has failed.")
@click.option("--once", is_flag=True, help="One pass over everything, then end.")
@click.option("--timeout", metavar="D", type=Duration(), help="End after this long, exit 3.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings; headwater.toml if any.")
@click.option("--log-format", type=click.Choice(["auto", "human", "json"]), help="Log lines.")
@click.option("--allow-rewind", is_flag=True, default=None, help="Accept a force-pushed branch.")
def run(*, until_ready: bool, once: bool, config: Path | None, **flags: Any) -> None:
    """Watch a repository and keep its systems running.

    With --until-ready or --once the exit code is 0 when everything is Ready, 1 when something
    failed, 3 when the time was up.
    """
    settings = load(flags, config)
    sys.exit(asyncio.run(serve(settings, until_ready=until_ready, once=once)))


async def serve(settings: Settings, *, until_ready: bool = False, once: bool = False) -> int:
    """Run until asked to stop, settled, or out of time; the exit code."""
    from rich.console import Console  # noqa: PLC0415  # start-up time

    from headwater.app import assemble, now  # noqa: PLC0415  # start-up time
    from headwater.reporting.logs import EventLog, configure_logging  # noqa: PLC0415
    from headwater.reporting.progress import Progress  # noqa: PLC0415

    console = Console(stderr=True)
    configure_logging(settings.log_format)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with assemble(settings) as running:
        with ExitStack() as stack:
            if console.is_terminal and settings.log_format == "auto":
                progress = Progress(console, running.controller.status, now)
                running.listeners.append(stack.enter_context(progress))
            else:
                running.listeners.append(EventLog())
            work = running.loop.run_once() if once else running.loop.run()
            loop, limit = running.loop, settings.timeout
            return await _watch(loop, work, stop, until_ready=until_ready, limit=limit)


async def _watch(
    loop: Any, work: Any, stop: asyncio.Event, *, until_ready: bool, limit: float | None
) -> int:
    """Whichever comes first: the work's end, rest, being asked to stop, the limit."""
    main = asyncio.create_task(work)
    stopped = asyncio.create_task(stop.wait())
    waiting = {main, stopped}
    if until_ready:
        waiting.add(asyncio.create_task(loop.wait_settled()))
    done, _ = await asyncio.wait(waiting, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    if main not in done:
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN):
                await loop.drain()
    for task in waiting:
        task.cancel()
    ended, _ = await asyncio.wait(waiting, timeout=DRAIN)
    for task in ended:
        if not task.cancelled():
            task.result()
    if stopped in done:
        return 0
    if not done:
        return TIMED_OUT
    return 0 if loop.succeeded else FAILED
