"""`headwater test`: one deployment run as a test, in one line of a pipeline."""

import asyncio
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from headwater.cli.client import Client
from headwater.cli.followed import FAILED, IMPOSSIBLE, PASSED, TIMED_OUT, Followed, say
from headwater.cli.options import Duration, state_option
from headwater.cli.results import collect
from headwater.errors import HeadwaterError
from headwater.planning.status import ControllerStatus
from headwater.reporting.answers import describe
from headwater.settings import Settings, load
from headwater.store.lock import holder_of


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for, wherever it runs."""

    name: str
    timeout: float | None
    reports: Path | None
    junit: Path | None
    keep: bool


@click.command
@click.argument("name")
@click.option("--repo", "repository", metavar="URL", help="Local path or any URL of a repository.")
@click.option("--revision", metavar="R", help="A commit, tag or branch; default: what is there.")
@click.option("--path", metavar="P", help="Only manifests below this folder count.")
@click.option("--timeout", type=Duration(), metavar="D", help="Give up after this long, exit 3.")
@click.option(
    "--reports", type=click.Path(file_okay=False, path_type=Path), help="Fetch the reports to here."
)
@click.option(
    "--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit XML to here."
)
@click.option("--keep", is_flag=True, help="Leave the machines, to look at them.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings; headwater.toml if any.")
@state_option
def test(
    name: str,
    revision: str | None,
    config: Path | None,
    *,
    timeout: float | None,
    reports: Path | None,
    junit: Path | None,
    keep: bool,
    **flags: Any,
) -> int:
    """Run the deployment NAME once, show what its recipes print, and tell what came of it.

    A controller that runs on the state directory does it, in a new run. Without one, a controller
    of its own does: with this deployment alone, at the commit of the work tree, and nothing stays.

    The exit code is 0 when it passed, 1 when it failed, 2 when it could not be run, and 3 after
    the timeout.
    """
    wish = Wish(name, timeout, reports, junit, keep)
    try:
        settings = load(flags, config)
        with _Interruptible():
            if _is_served(settings, flags.get("repository")):
                return conduct(Client(settings.state), wish, revision or "")
            return _in_private(settings, wish, revision or "HEAD")
    except HeadwaterError as error:
        say(f"{name}: {error}")
        return IMPOSSIBLE


def conduct(client: Client, wish: Wish, revision: str, *, private: bool = False) -> int:
    """Follow a run to its end at the controller; the exit code. Blocks."""
    deadline = None if wish.timeout is None else time.monotonic() + wish.timeout
    followed = Followed(client, wish.name, deadline, begun_here=private)
    try:
        followed.begin(revision, keep=wish.keep)
        status = followed.end()
        say(f"{wish.name}: {describe(status, datetime.now(UTC))}")
        code = PASSED if status.is_ready else FAILED
    except TimeoutError:
        late = (
            "not over" if followed.run else f"the controller is not at {revision or 'a revision'}"
        )
        say(f"{wish.name}: {late} after {wish.timeout:g} s")
        followed.give_up(f"`headwater test` gave up after {wish.timeout:g} s")
        code = TIMED_OUT
    except KeyboardInterrupt:
        followed.give_up("`headwater test` was interrupted")
        raise
    if followed.run:
        collect(client, wish.name, followed.run, reports=wish.reports, junit=wish.junit)
    return code


def _is_served(settings: Settings, repository: object) -> bool:
    """A controller runs here, and follows the repository that is asked for, if one is."""
    if holder_of(settings.state) is None:
        return False
    if repository is None:
        return True
    followed = Client(settings.state).get(ControllerStatus, "/api/v1/status").repository
    return followed == repository or Path(followed).resolve() == Path(str(repository)).resolve()


def _in_private(settings: Settings, wish: Wish, revision: str) -> int:
    from headwater.private import subject  # noqa: PLC0415  # start-up time

    about = subject(settings, wish.name, revision, keep=wish.keep)
    scratch = Path(tempfile.mkdtemp(prefix="headwater-test-"))
    try:
        return asyncio.run(_serve(settings, about, wish, scratch))
    except asyncio.CancelledError:
        raise click.Abort from None
    finally:
        if wish.keep:
            say(f"kept, as `HEADWATER_STATE={scratch} headwater local list` shows here")
        else:
            shutil.rmtree(scratch, ignore_errors=True)


async def _serve(settings: Settings, about: Any, wish: Wish, scratch: Path) -> int:
    from headwater.private import private  # noqa: PLC0415  # start-up time
    from headwater.reporting.logs import configure_logging  # noqa: PLC0415

    configure_logging("human", level="WARNING")
    if (main := asyncio.current_task()) is not None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, main.cancel)
    async with private(settings, about, scratch):
        client = Client(scratch)
        revision = about.snapshot.revision
        return await asyncio.to_thread(conduct, client, wish, revision, private=True)


class _Interruptible:
    """SIGTERM as Ctrl-C: pipelines send the one, people the other."""

    def __enter__(self) -> None:
        self._before = signal.signal(signal.SIGTERM, signal.default_int_handler)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._before)
