"""How OpenStack's services say no: each in its own form."""

from dataclasses import dataclass

_NOVA = {400: "badRequest", 403: "forbidden", 404: "itemNotFound", 409: "conflictingRequest"}
_OVER = {413: "overLimit", 429: "overLimit"}


@dataclass
class Refused(Exception):
    status: int
    words: str
    kind: str = "BadRequest"
    """Neutron's word for it."""
    retry_after: str = ""

    def body(self, service: str) -> object:
        match service:
            case "identity":
                return {"error": {"code": self.status, "message": self.words, "title": "Error"}}
            case "network":
                return {"NeutronError": {"type": self.kind, "message": self.words, "detail": ""}}
            case "image":
                return {"message": self.words, "code": str(self.status), "title": "Error"}
            case _:
                fault = (_NOVA | _OVER).get(self.status, "computeFault")
                return {fault: {"code": self.status, "message": self.words}}


def unauthorized() -> Refused:
    return Refused(401, "The request you have made requires authentication.")


def throttled(seconds: int = 7) -> Refused:
    return Refused(429, "This request was rate-limited.", retry_after=str(seconds))
