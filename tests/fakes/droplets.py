"""DigitalOcean's API behind a real socket, as far as libcloud's driver asks for it."""

import itertools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

from libcloud.common.digitalocean import DigitalOcean_v2_Connection
from libcloud.compute.drivers.digitalocean import DigitalOcean_v2_NodeDriver

from fakes.serving import Answer, Request, serving
from headwater.manifests.resolved import ResolvedCloud

TOKEN = "dop_v1_headwater"  # noqa: S105  # of this double
PAGE = 2
REGION, IMAGE, SIZE = "fra1", "debian-12-x64", "s-1vcpu-1gb"
_TAG = re.compile(r"[A-Za-z0-9:_-]{1,255}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_SIZES = [
    {
        "slug": slug,
        "memory": cpus * 1024,
        "vcpus": cpus,
        "disk": 25,
        "transfer": 1.0,
        "price_monthly": 6.0 * cpus,
        "price_hourly": 0.009 * cpus,
        "regions": [REGION],
    }
    for slug, cpus in ((SIZE, 1), ("s-4vcpu-4gb", 4))
]
_REGIONS = [
    {"slug": slug, "name": slug, "available": True, "features": []} for slug in (REGION, "ams3")
]


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Droplets:
    """`created` has what was asked at each creation; `limit` is how many there may be."""

    droplets: dict[int, dict[str, Any]] = field(default_factory=dict)
    created: list[dict[str, Any]] = field(default_factory=list)
    limit: int = 25
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(3_164_000))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def cloud(self, name: str, **options: object) -> ResolvedCloud:
        """A Cloud manifest that leads here."""
        return ResolvedCloud(name, "digitalocean", region=REGION, options={"key": TOKEN, **options})

    def serve(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return Answer(401, json.dumps({"message": "Unable to authenticate you"}))
        try:
            status, said = self._answer(request.method, request.path, request.body)
        except Refused as refused:
            status, said = refused.status, {"message": str(refused)}
        return Answer(status, "" if said is None else json.dumps(said))

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        where = urlsplit(path)
        page = int(parse_qs(where.query).get("page", ["1"])[0])
        with self._lock:
            match method, where.path.split("/")[2:]:
                case "GET", ["droplets"]:
                    return 200, self._page("droplets", [*self.droplets.values()], page)
                case "GET", ["sizes"]:
                    return 200, self._page("sizes", _SIZES, page)
                case "GET", ["regions"]:
                    return 200, self._page("regions", _REGIONS, page)
                case "POST", ["droplets"]:
                    return 202, {"droplet": self._create(json.loads(body))}
                case "DELETE", ["droplets", id]:
                    if self.droplets.pop(int(id) if id.isdecimal() else 0, None) is None:
                        raise Refused(404, "The resource you requested could not be found.")
                    return 204, None
        raise Refused(404, "no such thing")

    def _page(self, name: str, every: list[Any], page: int) -> dict[str, Any]:
        last = -(-len(every) // PAGE)
        pages = {"last": f"http://127.0.0.1/v2/{name}?page={last}"} if page < last else {}
        links = {"pages": pages} if pages else {}
        return {name: every[(page - 1) * PAGE : page * PAGE], "links": links}

    def _create(self, said: dict[str, Any]) -> dict[str, Any]:
        if not _NAME.fullmatch(said["name"]):
            raise Refused(422, "Only valid hostname characters are allowed.")
        if said["region"] != REGION or said["size"] not in {size["slug"] for size in _SIZES}:
            raise Refused(422, "You specified an invalid size or region for Droplet creation.")
        if not all(_TAG.fullmatch(tag) for tag in said["tags"]):
            raise Refused(422, "Tag name is not valid")
        if len(said["user_data"] or "") > 64 * 1024:
            raise Refused(422, "User data is too long")
        if len(self.droplets) >= self.limit:
            raise Refused(422, "creating this/these droplet(s) will exceed your droplet limit")
        id = next(self._ids)
        self.created.append(said)
        self.droplets[id] = {
            "id": id,
            "name": said["name"],
            "status": "active",
            "created_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "networks": {"v4": [{"type": "public", "ip_address": f"203.0.113.{id % 250}"}]},
            "tags": [tag.lower() for tag in said["tags"]],  # as one that was there before
            "region": {"name": said["region"]},
        }
        return self.droplets[id]


@contextmanager
def droplets() -> Iterator[Droplets]:
    """Where libcloud's driver of DigitalOcean leads meanwhile."""
    account = Droplets()
    with serving(account.serve) as port:

        class Plain(DigitalOcean_v2_Connection):
            def __init__(self, key: str, *_: Any, **__: Any) -> None:
                there = {"secure": False, "host": "127.0.0.1", "port": port}
                super().__init__(key, **there)  # type: ignore[no-untyped-call]

        with patch.object(DigitalOcean_v2_NodeDriver, "connectionCls", Plain):
            yield account
