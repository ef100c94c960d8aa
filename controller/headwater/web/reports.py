"""The reports of a deployment: which there are, and their bytes as they came. Never unpacked."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from headwater.topology.reports import ReportPlace
from headwater.web.controller import Controller
from headwater.web.encoding import encode
from headwater.web.missing import NotFound, exists


@dataclass(frozen=True, slots=True)
class ReportRoutes:
    controller: Controller

    def routes(self) -> list[Route]:
        path = "/api/v1/deployments/{name}/reports"
        return [Route(path, self._list), Route(f"{path}/{{run:int}}/{{file}}", self._one)]

    async def _list(self, request: Request) -> Response:
        """Also of a deployment that is gone."""
        name = request.path_params["name"]
        views = self.controller.reports(name)
        if not views:
            exists(name, [d.name for d in self.controller.status().deployments], "deployment")
        return JSONResponse(encode(views))

    async def _one(self, request: Request) -> Response:
        asked = request.path_params
        try:
            place = ReportPlace(asked["name"], asked["run"], asked["file"])
        except ValueError as error:
            raise NotFound(str(error)) from None
        views = self.controller.reports(place.deployment)
        view = next((v for v in views if (v.run, v.file) == (place.run, place.file)), None)
        if view is None:
            raise NotFound(f"no report {place.file} of run {place.run} of {place.deployment}")
        pieces = self.controller.report(place)
        first = await anext(pieces, b"")  # What cannot be had is an error, not a broken stream.
        return StreamingResponse(
            _all(first, pieces),
            media_type="application/gzip",
            headers={"Content-Length": str(view.size), "Cache-Control": "no-store"},
        )


async def _all(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        yield first
        async for piece in rest:
            yield piece
