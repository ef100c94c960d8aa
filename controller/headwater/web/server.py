"""The servers, inside the controller's own loop."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from headwater.web.api import Api
from headwater.web.controller import Controller, Render
from headwater.web.listening import SOCKET, tcp_socket, unix_socket, url_of

_GRACE = 5
"""Seconds for requests under way at the end."""


@dataclass(frozen=True, slots=True)
class Addresses:
    socket: Path
    url: str
    """Of the TCP listener; empty where there is none."""


@asynccontextmanager
async def serving(
    controller: Controller, metrics: Render, *, directory: Path, listen: str
) -> AsyncIterator[Addresses]:
    """Serve until the block ends: all of it on the directory's socket, the rest on `listen`.

    For the holder of the directory's lock only. Leaves signals alone. Raises Stalled where it
    cannot listen.
    """
    stop = asyncio.Event()
    api = Api(controller, metrics, stop)
    async with AsyncExitStack() as stack:
        url = ""
        if listen:
            tcp = stack.enter_context(tcp_socket(listen))
            url = url_of(tcp)
            await _start(stack, tcp, api.read_only(listen.rpartition(":")[0]))
        unix = stack.enter_context(unix_socket(directory))
        stack.callback((directory / SOCKET).unlink, missing_ok=True)
        await _start(stack, unix, api.complete())
        stack.callback(stop.set)
        yield Addresses(directory / SOCKET, url)


async def _start(stack: AsyncExitStack, bound: socket.socket, app: ASGIApp) -> None:
    """Uvicorn's own start and end, without its tick and its signal handlers in between."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=_GRACE,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[bound])
    stack.push_async_callback(server.shutdown, sockets=[bound])
