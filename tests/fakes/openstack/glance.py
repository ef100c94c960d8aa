"""Glance: images."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fakes.openstack.refusals import Refused

IMAGE = "debian-12"
PAGE = 2


@dataclass
class Glance:
    images: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.add(IMAGE)

    def add(self, name: str, status: str = "active") -> str:
        id = str(uuid.uuid4())
        self.images[id] = {
            "id": id,
            "name": name,
            "status": status,
            "visibility": "public",
            "architecture": "x86_64",
            "min_ram": 0,
            "min_disk": 0,
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:00Z",
        }
        return id

    def id(self, name: str) -> str:
        return next(id for id, image in self.images.items() if image["name"] == name)

    def one(self, id: str) -> object:
        if id not in self.images:
            raise Refused(404, f"No image found with ID {id}")
        return self.images[id]

    def find(self, wanted: Mapping[str, Sequence[str]]) -> object:
        """A page at a time."""
        kept = {name: values for name, values in wanted.items() if name != "marker"}
        found = [
            image
            for image in self.images.values()
            if all(str(image.get(name)) in values for name, values in kept.items())
        ]
        ids = [image["id"] for image in found]
        start = ids.index(wanted["marker"][0]) + 1 if "marker" in wanted else 0
        page = found[start : start + PAGE]
        asked = "".join(f"{name}={value[0]}&" for name, value in kept.items())
        more = start + PAGE < len(found)
        following = {"next": f"/v2/images?{asked}marker={page[-1]['id']}"} if more else {}
        return {"images": page, "schema": "/v2/schemas/images", **following}
