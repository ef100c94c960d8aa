"""EC2's Query API, over the signed connection of libcloud's driver.

The driver's own calls list one page, ask for addresses nobody needs, end one machine at a time,
and put user data into the address of a GET.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode
from xml.etree.ElementTree import Element

from libcloud.common.exceptions import BaseHTTPError
from libcloud.common.types import MalformedResponseError
from libcloud.compute.base import NodeDriver
from libcloud.compute.drivers.ec2 import API_VERSION, NAMESPACE

PAGE = 1000
"""The most that EC2 gives at a time."""


class Query:
    """Blocking, for one thread. Raises what libcloud raises."""

    def __init__(self, driver: NodeDriver) -> None:
        self._driver: Any = driver

    def ask(self, action: str, parameters: Mapping[str, str]) -> Element:
        said = {"Action": action, "Version": API_VERSION, **parameters}
        answer = self._driver.connection.request(
            self._driver.path,
            method="POST",
            data=urlencode(said),
            headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
        )
        root = answer.object
        if not isinstance(root, Element) or root.tag != path(f"{action}Response"):
            # A page of some proxy, in well-formed XML, would read as an empty list.
            raise MalformedResponseError("not an answer of EC2", body=str(root)[:200])
        return root

    def pages(self, action: str, parameters: Mapping[str, str]) -> Iterator[Element]:
        """Every page: a list that ends too early would be a lie."""
        token = ""
        while True:
            more = {"NextToken": token} if token else {}
            page = self.ask(action, {**parameters, "MaxResults": str(PAGE), **more})
            yield page
            token = text(page, "nextToken")
            if not token:
                return


def numbered(name: str, values: Iterable[str]) -> dict[str, str]:
    """`Name.1`, `Name.2`, ..."""
    return {f"{name}.{number}": value for number, value in enumerate(values, start=1)}


def filters(wanted: Mapping[str, Iterable[str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, (name, values) in enumerate(wanted.items(), start=1):
        found[f"Filter.{number}.Name"] = name
        found |= numbered(f"Filter.{number}.Value", values)
    return found


def tag_specification(kind: str, tags: Mapping[str, str]) -> dict[str, str]:
    """Tags that are there from the first moment on."""
    found = {"TagSpecification.1.ResourceType": kind}
    for number, (key, value) in enumerate(tags.items(), start=1):
        found[f"TagSpecification.1.Tag.{number}.Key"] = key
        found[f"TagSpecification.1.Tag.{number}.Value"] = value
    return found


def path(*names: str) -> str:
    return "/".join(f"{{{NAMESPACE}}}{name}" for name in names)


def items(element: Element, *names: str) -> list[Element]:
    return element.findall(path(*names, "item"))


def text(element: Element, *names: str) -> str:
    return element.findtext(path(*names)) or ""


def code_of(error: Exception) -> str:
    """EC2's own word for what is wrong: libcloud keeps it at the beginning of the text."""
    said = error.message if isinstance(error, BaseHTTPError) else str(error)
    code, colon, _ = str(said).strip("'\"").partition(":")
    return code if colon and code.replace(".", "").isalnum() else ""
