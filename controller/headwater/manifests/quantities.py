"""Quantities and names as people write them: checked where they stand, in schemas as patterns."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

WRONG_FORM = "form"
"""The type of validation errors whose text continues the offending value: `'x' is not a ...`."""


def wrong(words: str) -> PydanticCustomError:
    """An error whose `words` follow the value: `must be ...`. No braces in them."""
    return PydanticCustomError(WRONG_FORM, words)


@dataclass(frozen=True, slots=True)
class Form:
    """What a string looks like; `words` name the form, with an example."""

    pattern: str
    words: str

    def matches(self, text: str) -> bool:
        return re.fullmatch(self.pattern, text) is not None and not text.endswith("\n")

    def _check(self, text: str) -> str:
        if not self.matches(text):
            raise wrong(f"is not {self.words}")
        return text

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": self.pattern}


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES: dict[str, int] = {
    **{unit: 1024**power for power, unit in enumerate(["B", "KiB", "MiB", "GiB", "TiB"])},
    **{unit: 1000**power for power, unit in enumerate(["kB", "MB", "GB", "TB"], start=1)},
}
_HIGHEST_PORT = 65535
_KERNEL_PLACES = frozenset({"boot", "dev", "proc", "run", "sys"})
"""Nothing is mounted in these, and not on those."""
_SYSTEM_PLACES = frozenset(
    {"bin", "etc", "lib", "lib32", "lib64", "libx32", "root", "sbin", "tmp", "usr", "var"}
)


def seconds(duration: str) -> float:
    """`10m` is 600. The text has the form of `Duration`."""
    return float(int(duration[:-1]) * _SECONDS[duration[-1]])


def size_bytes(size: str) -> int:
    """`8GiB` is 8 * 1024**3, `8GB` is 8 * 1000**3. The text has the form of `ByteSize`."""
    number = size.rstrip("KMGTkiB")
    return int(number) * _BYTES[size[len(number) :]]


def _port(text: str) -> str:
    if not 1 <= int(text.partition("/")[0]) <= _HIGHEST_PORT:
        raise wrong("is not a port: numbers are 1 to 65535")
    return text


def _mount_path(text: str) -> str:
    first, _, rest = text.removeprefix("/").partition("/")
    if first in _KERNEL_PLACES or (first in _SYSTEM_PLACES and not rest):
        raise wrong("would hide what the machine's system needs: take a place of its own")
    return text


def _count(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"(100|[1-9]?[0-9])%", value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise wrong("is neither a count such as 2 nor a percentage such as '25%'")


Duration = Annotated[str, Form(r"^[1-9][0-9]{0,8}[smhd]$", "a duration such as '30s', '10m', '8h'")]
ByteSize = Annotated[
    str, Form(r"^[1-9][0-9]{0,8}([KMGT]iB|[kMGT]?B)$", "a size such as '8GiB' or '500MB'")
]
LABEL = Form(
    r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
    "a name: up to 63 lower-case letters, digits and '-', '-' not first or last",
)
Label = Annotated[str, LABEL]
NodeName = Annotated[
    str,
    Form(
        r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$",
        "a name of a node: a lower-case letter, then letters, digits and '-', '-' not last",
    ),
]
ParameterName = Annotated[
    str,
    Form(
        r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$",
        "a name of a parameter: letters, digits, '_', '-' and '.'",
    ),
]
Port = Annotated[
    str, Form(r"^[0-9]{1,5}/(tcp|udp)$", "a port such as '22/tcp'"), AfterValidator(_port)
]
Package = Annotated[
    str,
    Form(r"^[A-Za-z0-9][A-Za-z0-9.+_:=~@/-]{0,254}$", "the name of a package such as 'nfs-common'"),
]
PublicKey = Annotated[
    str,
    Form(
        r"^(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+=*( [^\n\r]*)?$",
        "a public key in OpenSSH form such as 'ssh-ed25519 AAAA... name'",
    ),
]
Line = Annotated[str, Form(r"^[^\x00-\x1f\x7f]*$", "one line of text")]
MountPath = Annotated[
    str,
    Form(
        r"^(/[A-Za-z0-9_@+][A-Za-z0-9_@+.-]{0,62}){1,16}$",
        "a place for a volume such as '/data': no blanks, no '..', no '/' at the end",
    ),
    AfterValidator(_mount_path),
]
UrlPath = Annotated[str, Form(r"^/[!-~]*$", "a path of a web page such as '/healthz'")]
CountOrPercent = Annotated[
    int | str,
    PlainValidator(_count),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": "^(100|[1-9]?[0-9])%$"},
            ]
        }
    ),
]
Positive = Annotated[int, Field(ge=1)]
