"""EC2 behind a real socket: signatures, limits, latency and faults in front of an account."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from fakes.ec2.account import REGION, MotoAccount
from fakes.ec2.limits import Limits
from fakes.ec2.refusals import Refused
from fakes.ec2.signatures import verify
from fakes.serving import Answer, Request, serving
from headwater.manifests.resolved import ResolvedCloud

KEY, SECRET = "AKIAHEADWATER", "wJalrXUtnFEMI"
HTML = "<html><head><title>502</title></head><body>Bad gateway</body></html>"


@dataclass(frozen=True)
class Call:
    action: str
    said: dict[str, str]
    status: int
    code: str = ""


@dataclass
class Ec2Endpoint:
    """`before` sees each request first: it may raise Refused, or say what is answered instead.

    `after` sees each answer before it is sent, when the account has done its part: it may raise
    ConnectionResetError, and the answer is lost.
    """

    account: MotoAccount
    latency: float = 0.0
    limits: Limits | None = None
    before: Callable[[str], str | None] = lambda _: None
    after: Callable[[str], None] = lambda _: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    calls: list[Call] = field(default_factory=list)
    port: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def cloud(self, name: str, **options: object) -> ResolvedCloud:
        """A Cloud manifest that leads here."""
        where = {"host": "127.0.0.1", "port": self.port, "secure": False}
        login = {"key": KEY, "secret": SECRET}
        return ResolvedCloud(name, "ec2", region=REGION, options={**where, **login, **options})

    def counted(self) -> Counter[str]:
        return Counter(call.action for call in self.calls)

    def clear(self) -> None:
        self.calls.clear()

    @property
    def refused(self) -> list[str]:
        return [call.code for call in self.calls if call.code]

    def serve(self, request: Request) -> Answer:
        status, text = self.answer(request.headers, request.body)
        return Answer(status, text, "text/xml;charset=UTF-8")

    def answer(self, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        said = dict(parse_qsl(body.decode(), keep_blank_values=True))
        action = said.get("Action", "")
        if self.latency:
            time.sleep(self.latency)
        try:
            instead = self.before(action)
            if instead is not None:
                self.calls.append(Call(action, said, 200))
                return 200, instead
            verify(headers, body, KEY, SECRET, self.now())
            with self._lock:
                if self.limits is not None:
                    self.limits.take(action, said)
                answer = self.account.ask(said)
            self.after(action)
        except Refused as refused:
            self.calls.append(Call(action, said, refused.status, refused.code))
            return refused.status, refused.body
        self.calls.append(Call(action, said, 200))
        return 200, answer


@contextmanager
def ec2_endpoint(**settings: object) -> Iterator[Ec2Endpoint]:
    number = f"{random.randrange(10**11, 10**12)}"  # noqa: S311  # no secret
    endpoint = Ec2Endpoint(MotoAccount(number), **settings)  # type: ignore[arg-type]
    with serving(endpoint.serve) as endpoint.port:
        yield endpoint
