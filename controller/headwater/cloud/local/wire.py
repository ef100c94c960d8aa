"""What a driver and the host process of its directory say to each other: JSON, one per line.

A request is `{"verb": ..., ...}`; its answer is `{"result": ...}` or `{"error": {code, text}}`.
"""

import json
from typing import Any

LINE_LIMIT = 1 << 25
"""Bytes in one line: thousands of machines."""


class HostError(Exception):
    """A request that the host process did not fulfil.

    `code` says whose move it is, as HTTP does: 4xx the caller's (404: no such machine), 507 the
    disk's, 5xx try again.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def encode(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def failure(error: HostError) -> dict[str, Any]:
    return {"error": {"code": error.code, "text": error.text}}


def result(answer: dict[str, Any]) -> Any:
    """The result of an answer. Raises HostError when it is a failure."""
    if error := answer.get("error"):
        raise HostError(error["code"], error["text"])
    return answer["result"]
