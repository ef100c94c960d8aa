"""The routes, and what they answer."""

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from headwater.errors import HeadwaterError, Refused
from headwater.planning.status import DeploymentStatus
from headwater.web.controller import Controller, Render
from headwater.web.encoding import encode
from headwater.web.missing import NotFound, exists
from headwater.web.reports import ReportRoutes
from headwater.web.streams import json_lines, statuses, texts

_BODY_LIMIT = 16 * 1024
_TEXT_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class Api:
    controller: Controller
    metrics: Render
    stop: asyncio.Event
    """Ends the streams."""

    def read_only(self, host: str) -> Starlette:
        """What anyone on this address may see; `host` is the name that it listens under."""
        return _application(self._reading(), Middleware(OnlyByAddress, host=host))

    def complete(self) -> Starlette:
        """All of it, for the owner."""
        return _application(self._reading() + self._verbs())

    def _reading(self) -> list[Route]:
        return [
            Route("/metrics", self._metrics),
            Route("/livez", self._livez),
            Route("/readyz", self._readyz),
            Route("/api/v1/status", self._status),
            Route("/api/v1/deployments/{name}", self._deployment),
            Route("/api/v1/deployments/{name}/parameters", self._parameters),
            Route("/api/v1/deployments/{name}/runs", self._runs),
            Route("/api/v1/deployments/{name}/runs/{number:int}/steps", self._steps),
            Route("/api/v1/runs", self._every_run),
        ]

    def _verbs(self) -> list[Route]:
        deployment = "/api/v1/deployments/{name}"
        return [
            Route("/api/v1/watch", self._watch),
            *ReportRoutes(self.controller).routes(),
            Route(f"{deployment}/logs", self._logs),
            Route(f"{deployment}/instances/{{instance}}/login", self._login),
            Route("/api/v1/approvals", self._approve, methods=["POST"]),
            *(
                Route(f"{deployment}/{verb}", self._ask, methods=["POST"], name=verb)
                for verb in ("retry", "abort", "suspend", "resume")
            ),
            Route(f"{deployment}/test", self._test, methods=["POST"]),
        ]

    async def _metrics(self, request: Request) -> Response:
        body, content_type = self.metrics(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    async def _livez(self, _: Request) -> Response:
        if self.controller.alive():
            return PlainTextResponse("ok\n")
        return PlainTextResponse("the loop does not move\n", 503)

    async def _readyz(self, _: Request) -> Response:
        status = self.controller.status()
        if status.revision:
            return PlainTextResponse("ok\n")
        why = status.source_error or "no revision has been read yet"
        return PlainTextResponse(f"{why}\n", 503)

    async def _status(self, _: Request) -> Response:
        return JSONResponse(encode(self.controller.status()))

    async def _deployment(self, request: Request) -> Response:
        return JSONResponse(encode(self._found(request)))

    async def _parameters(self, request: Request) -> Response:
        return JSONResponse(encode(self.controller.parameters(self._found(request).name)))

    async def _runs(self, request: Request) -> Response:
        """Also of a deployment that is gone."""
        name = request.path_params["name"]
        if not (runs := self.controller.runs(name)):
            known = [*{run.deployment for run in self.controller.every_run()}]
            known += [d.name for d in self.controller.status().deployments]
            exists(name, known, "deployment")
        return JSONResponse(encode(runs))

    async def _every_run(self, _: Request) -> Response:
        return JSONResponse(encode(self.controller.every_run()))

    async def _steps(self, request: Request) -> Response:
        name, number = request.path_params["name"], request.path_params["number"]
        return JSONResponse(encode(self.controller.steps(name, number)))

    async def _watch(self, _: Request) -> Response:
        return json_lines(statuses(self.controller), self.stop)

    async def _logs(self, request: Request) -> Response:
        deployment = self._found(request)
        query = request.query_params
        if instance := query.get("instance", ""):
            instance = _instance(instance, deployment)
        outputs = self.controller.outputs(
            deployment.name,
            instance,
            follow=query.get("follow") == "1",
            history=query.get("history") == "1",
            since=_time(query.get("since", "")),
        )
        return json_lines(texts(outputs), self.stop)

    async def _login(self, request: Request) -> Response:
        deployment = self._found(request)
        instance = _instance(request.path_params["instance"], deployment)
        return JSONResponse(encode(self.controller.login(deployment.name, instance)))

    async def _ask(self, request: Request) -> Response:
        """One of the people's verbs, by the last part of the path."""
        name, verb = self._found(request).name, request.url.path.rpartition("/")[2]
        words, people = await _words(request), self.controller.people
        match verb:
            case "retry":
                message = people.retry(name)
            case "abort":
                message = people.abort(name, words.get("reason", ""))
            case "suspend":
                reason, by = words.get("reason", ""), words.get("by", "")
                message = people.suspend(name, reason, by, words.get("until", ""))
            case _:
                message = people.resume(name)
        return JSONResponse({"message": message})

    async def _test(self, request: Request) -> Response:
        name, words = self._found(request).name, await _words(request)
        number = self.controller.people.test(name, keep=words.get("keep") == "1")
        return JSONResponse({"message": f"{name}: run {number}", "run": number})

    async def _approve(self, request: Request) -> Response:
        words = await _words(request)
        return JSONResponse({"message": self.controller.people.approve(words.get("digest", ""))})

    def _found(self, request: Request) -> DeploymentStatus:
        name = request.path_params["name"]
        by_name = {d.name: d for d in self.controller.status().deployments}
        exists(name, list(by_name), "deployment")
        return by_name[name]


def _instance(name: str, deployment: DeploymentStatus) -> str:
    """The instance that is meant: a node alone means its first one."""
    known = [i.instance for i in deployment.instances]
    if f"{name}.1" in known:
        return f"{name}.1"
    exists(name, known, "instance")
    return name


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text) if text else None
    except ValueError:
        time = None
    if text and (time is None or time.tzinfo is None):
        raise Refused(f"{text!r} is no time with a zone, such as 2026-12-01T08:00+01:00")
    return time


async def _words(request: Request) -> dict[str, str]:
    """The body: a JSON object of short texts; nothing at all is an empty one."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _BODY_LIMIT:
            raise Refused(f"the request is longer than {_BODY_LIMIT} bytes")
    try:
        words = json.loads(body or b"{}")
    except ValueError:
        words = None
    texts = list(words.values()) if isinstance(words, dict) else [None]
    if not all(isinstance(text, str) and len(text) <= _TEXT_LIMIT for text in texts):
        raise Refused(f'expected {{"name": "text"}}, of at most {_TEXT_LIMIT} characters each')
    return dict(words)


def _application(routes: list[Route], *middleware: Middleware) -> Starlette:
    return Starlette(
        routes=routes, middleware=middleware, exception_handlers={HeadwaterError: _refusal}
    )


async def _refusal(_: Request, error: Exception) -> Response:
    code = 404 if isinstance(error, NotFound) else 409
    return JSONResponse({"error": str(error)}, code)


class OnlyByAddress:
    """Refuses requests under a foreign name, which is how DNS rebinding reads local ports.

    An IP address in the Host header is nobody's name to give away, and `localhost` is ours.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._names = {"localhost", host.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if name in self._names or _is_address(name.strip("[]")):
            await self._app(scope, receive, send)
        else:
            answer = PlainTextResponse("ask under the address that this server listens on\n", 421)
            await answer(scope, receive, send)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
