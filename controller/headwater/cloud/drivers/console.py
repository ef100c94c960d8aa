"""Host keys that cloud-init has printed on a machine's console."""

import re
from collections.abc import Mapping

_BLOCK = re.compile(
    r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.DOTALL
)
_KEY = re.compile(r"\b(ssh-ed25519|ecdsa-sha2-nistp256|ssh-rsa) (AAAA[A-Za-z0-9+/]+={0,2})")
_ORDER = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")


def host_key_on(console: str) -> str | None:
    """The best of the first whole block: what runs on the machine later cannot change that."""
    block = _BLOCK.search(console)
    found = dict(_KEY.findall(block[1])) if block else {}
    return next((f"{kind} {found[kind]}" for kind in _ORDER if kind in found), None)


def text_of(answer: object) -> str:
    """Some drivers give the text, others what their cloud answered around it."""
    if isinstance(answer, Mapping):
        answer = next((answer[name] for name in ("output", "Output") if name in answer), "")
    return answer if isinstance(answer, str) else ""
