"""Quay behind a real socket, and its driver as pip installs it."""

import itertools
import json
import shutil
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fakes.serving import Answer, Request, serving
from headwater.manifests.resolved import ResolvedCloud

KEY = "quay-key-of-this-double"
IMAGE, SIZE = "debian-12", "berth"
PACKAGE = Path(__file__).resolve().parents[1] / "quay"


@dataclass
class Quay:
    """`start` boots what is behind a machine, by its user data, and says where; `stop` ends it."""

    start: Callable[[str, str], str] = lambda *_: "203.0.113.7"
    stop: Callable[[str], None] = lambda _: None
    machines: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    port: int = 0
    _by_token: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def options(self) -> dict[str, object]:
        """Of a Cloud manifest that leads here."""
        return {"host": "127.0.0.1", "port": self.port, "secure": False}

    def cloud(self, name: str) -> ResolvedCloud:
        return ResolvedCloud(name, "quay", options={**self.options, "key": KEY})

    def serve(self, request: Request) -> Answer:
        if request.headers.get("x-quay-key") != KEY:
            return Answer(401, json.dumps({"error": "no such key"}))
        status, said = self._answer(request.method, request.path, request.body)
        return Answer(status, "" if said is None else json.dumps(said))

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        with self._lock:
            self.calls.append(f"{method} {path}")
            match method, path.split("/")[2:]:
                case "GET", ["machines"]:
                    return 200, {"machines": [*self.machines.values()]}
                case "GET", ["sizes"]:
                    size = {"name": SIZE, "cpus": 2, "memory": 4096, "disk": 20, "price": 0.02}
                    return 200, {"sizes": [size]}
                case "GET", ["images"]:
                    return 200, {"images": [{"id": IMAGE, "name": "Debian 12"}]}
                case "POST", ["machines"]:
                    return 201, self._create(json.loads(body))
                case "DELETE", ["machines", id] if id in self.machines:
                    del self.machines[id]
                    self.stop(id)
                    return 204, None
        return 404, {"error": f"no {path}"}

    def _create(self, said: dict[str, Any]) -> dict[str, Any]:
        there = self._by_token.get(said["token"], "")
        if there not in self.machines:
            there = self._by_token[said["token"]] = f"m{next(self._numbers)}"
            self.machines[there] = {
                "id": there,
                "name": said["name"],
                "state": "up",
                "address": self.start(there, said["userdata"]),
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "labels": said["labels"],
            }
        return self.machines[there]


def install(site: Path) -> None:
    """What pip leaves in a folder of `sys.path`: the module, and who it says it is."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    name, version = project["name"], project["version"]
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    shutil.copy(PACKAGE / "quay.py", site)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: a driver\n"
    )
    points = [
        f"[{group}]\n" + "".join(f"{point} = {where}\n" for point, where in named.items())
        for group, named in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(points))
    (info / "RECORD").write_text(f"quay.py,,\n{info.name}/METADATA,,\n{info.name}/RECORD,,\n")


@contextmanager
def quay() -> Iterator[Quay]:
    account = Quay()
    with serving(account.serve) as account.port:
        yield account


@contextmanager
def installed_quay() -> Iterator[Quay]:
    """With its driver, for this process."""
    with TemporaryDirectory() as site, quay() as account:
        install(Path(site))
        sys.path.insert(0, site)
        try:
            yield account
        finally:
            sys.path.remove(site)
            sys.modules.pop("quay", None)
