"""Short names for content."""

import hashlib
import json


def digest(content: object) -> str:
    """16 hex digits of the SHA-256 of the canonical JSON of `content`.

    Callers name the fields that count, so that a release which only adds a field with its old
    meaning as default changes no digest, and replaces no machine.
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
