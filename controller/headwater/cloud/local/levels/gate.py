"""The gate of a bridge: a proxy on its own address, since nothing is routed from there."""

import asyncio
import ipaddress
import threading
from collections.abc import Mapping

from headwater.cloud.local.addresses import listening
from headwater.cloud.local.outside import Outside, proxies_of_host
from headwater.cloud.local.proxy import Proxy

PORT = 8213
"""Always the same: machines that outlive a host process find the next one's gate by it."""

_TELL_APT = r"""
if [ -d /etc/apt ]; then
  kept=$(grep -sv '// this machine$' /etc/apt/apt.conf || :)
  {
    [ -z "$kept" ] || printf '%s\n' "$kept"
    for scheme in http https; do
      printf '#clear Acquire::%s::Proxy; // this machine\n' $scheme
      printf '#clear Acquire::%s::Proxy-Auto-Detect; // this machine\n' $scheme
      printf 'Acquire::%s::Proxy "%s"; // this machine\n' $scheme "$gate"
    done
  } >/etc/apt/apt.conf
fi
"""
"""apt reads this file last: proxies that the host's own files name are the gate's to use, since a
machine could not reach them."""


class Gate:
    """Serves on a thread of its own, since levels are asked from many. Not safe to share."""

    def __init__(self) -> None:
        self._serving: tuple[asyncio.AbstractEventLoop, asyncio.Event, threading.Thread] | None
        self._serving = None

    def open(self, address: ipaddress.IPv4Address, clients: ipaddress.IPv4Network) -> None:
        """Serve the network at its address; no effect when it is served. Raises OSError."""
        if self._serving is not None:
            return
        listener = listening(str(address), PORT)
        proxy = Proxy(clients, Outside(proxies_of_host()))
        loop, over = asyncio.new_event_loop(), asyncio.Event()

        def serve() -> None:
            try:
                loop.run_until_complete(proxy.serve(listener, over))
            finally:
                loop.close()

        # It ends with the process: what it relays has no meaning afterwards.
        thread = threading.Thread(target=serve, name="gate", daemon=True)
        thread.start()
        self._serving = (loop, over, thread)

    def close(self) -> None:
        if self._serving is not None:
            loop, over, thread = self._serving
            loop.call_soon_threadsafe(over.set)
            thread.join()
            self._serving = None


def environment(gateway: ipaddress.IPv4Address, clients: ipaddress.IPv4Network) -> dict[str, str]:
    """What programs of a machine are told.

    Many know no networks in `no_proxy`: they reach neighbours and this host through the gate.
    """
    url = f"http://{gateway}:{PORT}"
    direct = f"localhost,127.0.0.1,::1,127.0.0.0/8,{clients}"
    said = {"http_proxy": url, "https_proxy": url, "no_proxy": direct}
    return said | {name.upper(): value for name, value in said.items()}


def told_to_apt(environment: Mapping[str, str]) -> str:
    """Commands of a shell, for programs that see no login's environment."""
    return f"gate={environment['http_proxy']}\n{_TELL_APT}"
