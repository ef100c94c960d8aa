"""How EC2 says no."""

from dataclasses import dataclass
from xml.sax.saxutils import escape


@dataclass
class Refused(Exception):
    code: str
    words: str
    status: int = 400

    @property
    def body(self) -> str:
        """Without a namespace, as EC2 does and moto does not."""
        error = f"<Code>{escape(self.code)}</Code><Message>{escape(self.words)}</Message>"
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error>'
            f"{error}</Error></Errors><RequestID>00000000</RequestID></Response>"
        )


def throttled() -> Refused:
    return Refused("RequestLimitExceeded", "Request limit exceeded.", 503)
