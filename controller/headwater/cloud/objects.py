"""Whole files in an object store, through Apache Libcloud: any provider that it drives."""

import asyncio
import threading
import tomllib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from libcloud.common.types import InvalidCredsError, LibcloudError
from libcloud.storage.providers import DRIVERS, get_driver
from libcloud.storage.types import ObjectDoesNotExistError

from headwater.cloud.faults import classify
from headwater.errors import Refused, Stalled, Transient

_T = TypeVar("_T")
WIDTH = 2
"""Calls at a time: reports are large, and in no hurry."""
DEADLINE = 900.0
"""Seconds for one call, its transfer included."""


@dataclass(frozen=True, slots=True)
class Account:
    driver: str
    """libcloud's name of the provider."""
    credentials: str = ""
    """A name in the secrets directory; empty where the options are enough."""
    options: Mapping[str, Any] = field(default_factory=dict)


class ObjectStore:
    """One container. Drivers are not shared between threads; each call has a deadline.

    Names are paths of plain segments: a driver that keeps files must not be led out of its root.
    """

    def __init__(self, account: Account, container: str, prefix: str, *, secrets: Path) -> None:
        """Raises Stalled for a driver that there is not, and for names that lead elsewhere."""
        if account.driver not in DRIVERS:
            known = ", ".join(sorted(map(str, DRIVERS)))
            raise Stalled(f"reports: there is no driver {account.driver!r}; known: {known}")
        self._prefix = prefix.strip("/")
        for name in (container, *filter(None, [self._prefix])):
            if not _is_plain(name):
                raise Stalled(f"reports: {name!r} is no name of a container or of objects")
        self._account = account
        self._container = container
        self._secrets = secrets
        self._own = threading.local()
        self._pool = ThreadPoolExecutor(WIDTH, "objects")

    async def put(self, name: str, file: Path) -> None:
        """Replaces what is there."""

        def put(driver: Any) -> None:
            container = self._opened(driver)
            driver.upload_object(str(file), container, self._full(name))

        await self._run(put)

    async def get(self, name: str, file: Path) -> None:
        """Raises Refused where there is none."""

        def get(driver: Any) -> None:
            found = driver.get_object(self._container, self._full(name))
            driver.download_object(found, str(file), overwrite_existing=True)

        try:
            await self._run(get)
        except ObjectDoesNotExistError:
            raise Refused(f"there is no {name} in container {self._container} any more") from None

    async def remove(self, name: str) -> None:
        """Succeeds also when there is none."""

        def remove(driver: Any) -> None:
            driver.delete_object(driver.get_object(self._container, self._full(name)))

        try:
            await self._run(remove)
        except ObjectDoesNotExistError:
            return

    async def _run(self, call: Callable[[Any], _T]) -> _T:
        where = f"object store {self._account.driver}://{self._container}"
        try:
            async with asyncio.timeout(DEADLINE):
                return await asyncio.wrap_future(self._pool.submit(self._call, call))
        except ObjectDoesNotExistError:
            raise
        except TimeoutError as e:
            raise Transient(f"{where}: no answer within {DEADLINE:g} s") from e
        except Exception as e:
            raise classify(e, self._account.driver, where) from e

    def _call(self, call: Callable[[Any], _T]) -> _T:
        if not hasattr(self._own, "driver"):
            arguments = {**self._account.options, **self._credentials()}
            try:
                self._own.driver = get_driver(self._account.driver)(**arguments)
            except TypeError as e:
                raise Stalled(f"driver {self._account.driver} lacks an argument: {e}") from e
        return call(self._own.driver)

    def _opened(self, driver: Any) -> Any:
        """Never made: a name that is mistyped would be a place where nobody looks."""
        try:
            return driver.get_container(self._container)
        except InvalidCredsError:
            raise
        except LibcloudError as e:  # As some drivers tell a 404, or a 403, of a HEAD.
            words = f"there is no container {self._container!r}, or no right to it: make it first"
            raise Stalled(words) from e

    def _full(self, name: str) -> str:
        if not _is_plain(name):
            raise Refused(f"{name!r} is no name of an object")
        return f"{self._prefix}/{name}" if self._prefix else name

    def _credentials(self) -> Mapping[str, Any]:
        """From a file that Git never sees."""
        name = self._account.credentials
        file = self._secrets / f"{name}.toml"
        if not name:
            return {}
        try:
            if file.parent != self._secrets:
                raise Stalled(f"{name!r} is no name of credentials")
            return tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as e:
            raise Stalled(
                f"credentials {name!r} cannot be read: put the driver's arguments into {file}"
                f" ({type(e).__name__})"
            ) from e

    def close(self) -> None:
        """Nothing more is taken on; what runs ends by the driver's own timeouts."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _is_plain(name: str) -> bool:
    """No segment is empty or leads up, and nothing is hidden in it."""
    segments = name.split("/")
    return all(s and s.strip(".") and "\\" not in s and s.isprintable() for s in segments)
