"""Answers without an end: JSON lines until the client leaves or the server stops."""

import asyncio
import codecs
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TypeVar

from starlette.responses import StreamingResponse

from headwater.web.controller import Controller
from headwater.web.encoding import encode

_T = TypeVar("_T")
_PAUSE = 0.1
"""Seconds: a large status costs its encoding for every watcher, however fast it changes."""


def json_lines(values: AsyncGenerator[object, None], stop: asyncio.Event) -> StreamingResponse:
    """One line per value; a clean end when `stop` is set."""

    async def lines() -> AsyncIterator[bytes]:
        async with aclosing(until(stop, values)) as limited:
            async for value in limited:
                yield json.dumps(value, separators=(",", ":")).encode() + b"\n"

    headers = {"Cache-Control": "no-store"}
    return StreamingResponse(lines(), media_type="application/x-ndjson", headers=headers)


async def until(stop: asyncio.Event, values: AsyncGenerator[_T, None]) -> AsyncGenerator[_T, None]:
    """The values up to the moment when `stop` is set; the source is closed in any case."""
    stopped = asyncio.ensure_future(stop.wait())
    following: asyncio.Future[_T] | None = None
    try:
        while True:
            following = asyncio.ensure_future(anext(values))
            await asyncio.wait((stopped, following), return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                return
            try:
                value = following.result()
            except StopAsyncIteration:
                return
            yield value
    finally:
        stopped.cancel()
        if following is not None and not following.done():
            following.cancel()
            await asyncio.wait((following,))
        await values.aclose()


async def statuses(controller: Controller) -> AsyncGenerator[object, None]:
    """The present status, then each that differs from the one before, a pause apart."""
    async with aclosing(controller.changes()) as changes:
        told = controller.status()
        yield encode(told)
        async for _ in changes:
            if (status := controller.status()) != told:
                told = status
                yield encode(told)
                await asyncio.sleep(_PAUSE)


async def texts(
    outputs: AsyncGenerator[tuple[str, bytes], None],
) -> AsyncGenerator[object, None]:
    """Output as text: a character cut in two by its pieces stays whole, other bytes show as �."""
    decoders: dict[str, codecs.IncrementalDecoder] = {}
    make = codecs.getincrementaldecoder("utf-8")
    async with aclosing(outputs):
        async for instance, piece in outputs:
            decoder = decoders.setdefault(instance, make(errors="replace"))
            if text := decoder.decode(piece):
                yield {"instance": instance, "text": text}
    for instance, decoder in decoders.items():
        if text := decoder.decode(b"", final=True):
            yield {"instance": instance, "text": text}
