"""Addresses of their own for machines with a network namespace: a bridge, and a pair per machine.

iproute2 alone; neither the host's firewall nor its forwarding is touched: a gate leads outside.
"""

import contextlib
import ctypes
import hashlib
import ipaddress
import json
import logging
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from headwater.cloud.local.levels.gate import Gate, environment
from headwater.cloud.local.levels.shape import SEARCH_PATH, LevelUnavailableError

_log = logging.getLogger(__name__)

_POOL = ipaddress.IPv4Network("10.213.0.0/16")
_SUBNET_BITS = 24
_NEW_NETWORK = 0x40000000
"""CLONE_NEWNET of sched.h."""


class Network:
    """The subnet of one directory. Calls block for milliseconds and may come from any thread."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._bridge = f"hwb{_digest(root)}"
        self._subnet: ipaddress.IPv4Network | None = None
        self._claim: socket.socket | None = None
        self._gate = Gate()
        self._leases: dict[str, str] = {}
        self._lock = threading.RLock()

    def lease(self, id: str, wanted: str, taken: Collection[str]) -> str:
        """An address for the machine, `wanted` if it can be had.

        Raises LevelUnavailableError when there is no iproute2, no free subnet, or no free address.
        """
        with self._lock:
            subnet = self._subnet = self._subnet or self._find_subnet()
            used = {address for owner, address in self._leases.items() if owner != id}
            free = (str(each) for each in list(subnet.hosts())[1:])
            if not (wanted in used or not _inside(wanted, subnet)):
                self._leases[id] = wanted
                return wanted
            for address in free:
                if address not in used and address not in taken:
                    self._leases[id] = address
                    return address
        raise LevelUnavailableError(f"every address of {subnet} is taken: remove some machines")

    def connect(self, id: str, init: int, address: str) -> None:
        """Give the namespaces of `init` an eth0 with the address. Raises LevelUnavailableError."""
        with self._lock:
            subnet = self._subnet = self._subnet or self._find_subnet()
            gateway = next(subnet.hosts())
            self._raise_bridge(gateway)
            pair = self._pair(id)
            _ip(
                f"link add {pair} type veth"
                f" peer name eth0 address {hardware_address(address)} netns {init}",
                f"link set {pair} master {self._bridge} up",
            )
        _ip(
            "link set lo up",
            f"address add {address}/{_SUBNET_BITS} dev eth0",
            "link set eth0 up",
            f"route add default via {gateway}",
            inside=("nsenter", "-t", str(init), "-n"),
        )

    def open_gate(self) -> None:
        """Machines that hold a lease are served from here on; without a gate they stay inside."""
        with self._lock:
            if self._subnet is not None:
                try:
                    self._gate.open(next(self._subnet.hosts()), self._subnet)
                except OSError as error:
                    _log.warning("gate.closed: no way out of %s: %s", self._subnet, error)

    def environment(self, address: str) -> dict[str, str]:
        """What programs of the machine at the address are told of the gate."""
        subnet = ipaddress.IPv4Interface(f"{address}/{_SUBNET_BITS}").network
        return environment(next(subnet.hosts()), subnet)

    def disconnect(self, id: str) -> None:
        """Remove the machine's pair. Its address stays ours: nothing leaves for it elsewhere."""
        self._delete(self._pair(id))

    def release(self, id: str) -> None:
        """The address may be given to another machine; bridge and gate go with the last one."""
        with self._lock:
            self._leases.pop(id, None)
            if self._leases:
                return
            self._gate.close()
            self._delete(self._bridge)
            if self._claim is not None:
                self._claim.close()
                self._claim = self._subnet = None

    def _find_subnet(self) -> ipaddress.IPv4Network:
        """That of our bridge if it is up, else one that neither a route nor another host uses."""
        if shutil.which("ip", path=SEARCH_PATH) is None:
            raise LevelUnavailableError("needs the program ip (package iproute2)")
        existing, used = None, []
        for link in _ip_json("-4", "address", "show"):
            for each in link["addr_info"]:
                network = ipaddress.IPv4Interface(f"{each['local']}/{each['prefixlen']}").network
                if link["ifname"] == self._bridge:
                    existing = network
                else:
                    used.append(network)
        routes = _ip_json("-4", "route", "show")
        others = (each["dst"] for each in routes if each.get("dev") != self._bridge)
        used.extend(ipaddress.IPv4Network(each) for each in others if each != "default")
        pool = list(_POOL.subnets(new_prefix=_SUBNET_BITS))
        start = int(_digest(self._root), 16) % len(pool)
        for subnet in [existing] if existing else pool[start:] + pool[:start]:
            if not any(subnet.overlaps(each) for each in used) and self._claimed(subnet):
                return subnet
        raise LevelUnavailableError(f"no subnet of {_POOL} is free on this host")

    def _claimed(self, subnet: ipaddress.IPv4Network) -> bool:
        """A name that ends with this process keeps two directories out of one subnet."""
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            claim.bind(f"\0headwater-{subnet}")
        except OSError:
            claim.close()
            return False
        self._claim = claim
        return True

    def _raise_bridge(self, gateway: ipaddress.IPv4Address) -> None:
        if not self._exists(self._bridge):
            _ip(
                f"link add {self._bridge} type bridge",
                f"address add {gateway}/{_SUBNET_BITS} dev {self._bridge}",
                f"link set {self._bridge} up",
            )

    def _exists(self, link: str) -> bool:
        return link in {name for _, name in socket.if_nameindex()}

    def _delete(self, link: str) -> None:
        """The kernel may be faster: a pair goes with the namespace of its other end."""
        if self._exists(link):
            with contextlib.suppress(LevelUnavailableError):
                _ip(f"link delete {link}")

    def _pair(self, id: str) -> str:
        return f"hwv{_digest(self._root / id)}"


def hardware_address(address: str) -> str:
    """A locally administered one that follows from the address.

    Whoever spoke to an earlier machine at the address remembers where it was, for up to a minute,
    and reaches its successor there.
    """
    return f"02:00:{ipaddress.IPv4Address(address).packed.hex(':')}"


def listen_inside(init: int, address: str, port: int) -> socket.socket:
    """A socket bound in the network namespace of `init`. Raises OSError.

    A socket belongs to the namespace of the thread that makes it: the thread ends with it.
    """
    listeners: list[socket.socket] = []
    failures: list[OSError] = []

    def bind() -> None:
        try:
            _enter_network(init)
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, port))
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=bind)
    thread.start()
    thread.join()
    for failure in failures:
        for listener in listeners:
            listener.close()
        raise failure
    return listeners[0]


def _enter_network(init: int) -> None:
    """os.setns, which Python has since 3.12."""
    descriptor = os.open(f"/proc/{init}/ns/net", os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, _NEW_NETWORK):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)


def _ip(*commands: str, inside: Sequence[str] = ()) -> None:
    _run([*inside, "ip", "-batch", "-"], "\n".join(commands) + "\n")


def _ip_json(*arguments: str) -> list[dict[str, Any]]:
    listed = json.loads(_run(["ip", "-json", *arguments], "") or "[]")
    return [each for each in listed if each]


def _run(argv: Sequence[str], given: str) -> str:
    ended = subprocess.run(  # noqa: S603  # fixed programs, our own names
        argv,
        input=given,
        capture_output=True,
        text=True,
        env={"PATH": SEARCH_PATH, "LC_ALL": "C"},
        check=False,
    )
    if ended.returncode:
        said = " ".join(ended.stderr.split())
        raise LevelUnavailableError(f"the network refuses: {said}")
    return ended.stdout


def _inside(address: str, subnet: ipaddress.IPv4Network) -> bool:
    return bool(address) and ipaddress.IPv4Address(address) in subnet


def _digest(path: Path) -> str:
    return hashlib.sha256(str(path).encode()).hexdigest()[:8]
