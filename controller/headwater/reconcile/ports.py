"""What the loop needs from the world. Adapters satisfy these shapes; none of them imports this."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import PurePath
from typing import Protocol

from headwater.manifests.resolved import Encrypted, ResolvedCloud
from headwater.manifests.snapshot import Snapshot
from headwater.planning.events import Event
from headwater.planning.status import CommitStatus, ReportView
from headwater.topology.context import Context, Host, Target, Task
from headwater.topology.keys import InstanceKey, MachineId
from headwater.topology.machines import Capabilities, CreateOrder, Listing, Machine
from headwater.topology.progress import MachineEvent, Reply, Request
from headwater.topology.reports import ReportPlace
from headwater.topology.secrets import SecretValue
from headwater.topology.volumes import Volume, VolumeListing, VolumeOrder, VolumeTags

Clock = Callable[[], datetime]
Listener = Callable[[Event], None]
"""Called on the loop's thread; must not block or raise."""


class Source(Protocol):
    """The watched branch of the repository."""

    async def fetch(self) -> Snapshot:
        """The newest revision of the branch.

        Raises Transient when it cannot be had now; Stalled when the repository cannot be read at
        all (no such branch, SHA-256), or when the branch no longer contains the last revision
        that was accepted (a force-push): nothing may follow from it.
        """

    def accept(self, revision: str) -> None:
        """Revisions move forward only, from this one on."""

    def changes(self) -> AsyncIterator[None]:
        """Yields whenever the branch may have moved: a hint without content."""


class Clouds(Protocol):
    """Every cloud that the manifests define; accounts are told apart by the Cloud's name."""

    async def configure(self, clouds: Mapping[str, ResolvedCloud]) -> None:
        """The clouds of a new revision; those that are as before keep what they have open."""

    def capabilities(self, cloud: str) -> Capabilities:
        """Raises Stalled for a cloud that cannot be used (unknown driver, no credentials)."""

    async def observe(self, cloud: str) -> Listing:
        """One listing of the whole account. Never raises: what failed is in the listing."""

    async def create(self, orders: Sequence[CreateOrder]) -> Sequence[Machine | Exception]:
        """One answer per order, in order. A HeadwaterError as an answer says what to do next.

        Repeating an order makes no second machine.
        """

    async def terminate(self, machine: Machine) -> None:
        """Succeeds also when the machine is already gone; removes what belonged to it.

        Its volumes it lets go.
        """

    async def observe_volumes(self, cloud: str) -> VolumeListing:
        """One listing of the account's volumes. Never raises, as above.

        It and what follows are for clouds with the ability only; all else raises HeadwaterError.
        """

    async def create_volume(self, order: VolumeOrder) -> Volume:
        """A volume that the machine can have. Repeating an order makes no second one."""

    async def attach_volume(
        self, volume: Volume, machine: Machine, taken: Collection[str]
    ) -> Volume:
        """As it is then. `taken` are names of devices that the machine has already.

        Nothing changes for one that the machine has. Transient while something else has it.
        """

    async def retag_volume(self, volume: Volume, tags: VolumeTags) -> None: ...

    async def delete_volume(self, volume: Volume) -> None:
        """Succeeds also when the volume is already gone. Transient while a machine has it."""


class Machines(Protocol):
    """Lines to the agents on the machines."""

    @property
    def public_key(self) -> str:
        """The login key that new machines must accept, in OpenSSH form."""

    @property
    def private_key_file(self) -> PurePath:
        """Where its other half lies, for people's own ssh."""

    async def run(self) -> None:
        """Keep the lines until cancelled."""

    def contextualise(self, target: Target, context: Context) -> None:
        """Keep a line to the machine and have its agent run the context, once.

        Returns at once; events tell the rest. Calling again with the same context only keeps the
        line; with another one, the agent turns to it at the end of the step that it runs.
        """

    def tell_hosts(self, deployment: str, hosts: Sequence[Host]) -> None:
        """The hosts file of every machine of the deployment, now and on later lines."""

    def run_task(self, machine: MachineId, task: Task) -> None:
        """Have the agent run the task, once; needs the line that `contextualise` makes.

        Returns at once. Tasks run in order, before the next step of the context. It is asked for
        on every new line until its end has been heard, or the machine is forgotten; called again,
        the agent tells its end again.
        """

    def stop_steps(self, machine: MachineId, reason: str) -> None:
        """Stop what runs there: SIGTERM, SIGKILL after 5 s; the context ends as `aborted`.

        So do tasks, but none that collects.
        """

    def forget(self, machine: MachineId) -> None:
        """Close the line; the machine is not ours to talk to any more."""


class Conversation(Protocol):
    """What `Machines` calls back. The loop implements it."""

    def on_event(self, event: MachineEvent) -> None:
        """Raises Transient for what cannot be kept now; it is told again."""

    async def on_request(self, request: Request) -> Reply:
        """Cancelled when the machine has given up, or its line is lost; it then asks again.

        Raises Transient for what cannot be kept now; it is asked again.
        """

    def output_offset(self, machine: MachineId, context: str) -> int:
        """How much of the output of the context, or of the task, is already kept."""

    def report_offset(self, machine: MachineId, task: str) -> int:
        """How much of the task's report is already kept."""


class Answers(Protocol):
    """Commit statuses."""

    async def answer(self, status: CommitStatus) -> None:
        """Write or replace the status of (revision, context). Raises Transient."""


class Reports(Protocol):
    """Where reports are kept. A machine is not believed: sizes and offsets are checked."""

    def append(self, place: ReportPlace, offset: int, content: bytes) -> None:
        """What is known is skipped; a gap or an excess spoils it. Raises Transient, Stalled."""

    def size(self, place: ReportPlace) -> int:
        """The offset of the first byte that is not kept yet."""

    def close(self, place: ReportPlace) -> tuple[int, str]:
        """It is whole: its bytes (0: nothing came), or why none is kept. Again changes nothing."""

    def views(self, deployment: str) -> tuple[ReportView, ...]:
        """What is kept, also of a deployment that is gone."""

    def count(self, deployment: str, run: int) -> int: ...

    def last_run(self, deployment: str) -> int:
        """The last one of which there is something; 0 where nothing is kept."""

    def read(self, place: ReportPlace) -> AsyncGenerator[bytes, None]:
        """Its bytes in pieces. Raises Refused where they cannot be had."""

    async def deliver(self) -> None:
        """Bring them where they belong, until cancelled; ends where they are there already."""


class Secrets(Protocol):
    """Where the controller has the secrets that manifests name."""

    def read(self, name: str, encrypted: Encrypted | None) -> SecretValue:
        """The controller's own one of that name, or else what the repository's file holds.

        Raises Stalled where it cannot be had: says which file, and what to do next.
        """

    def version(self, name: str, encrypted: Encrypted | None) -> str:
        """Differs when `read` may answer otherwise than before. Never raises."""


class Seal(Protocol):
    """Keeps secrets that machines have set, with a key that only this controller has."""

    def seal(self, secret: SecretValue) -> str: ...

    def open(self, sealed: str) -> SecretValue | None:
        """None for what another key has sealed."""

    def digest(self, secret: SecretValue) -> str:
        """Equal for equal secrets, and of no use to anybody without the key."""


class Documents(Protocol):
    """What the ledger keeps, as text by key."""

    def load(self) -> dict[str, str]:
        """Every key and its document (JSON text)."""

    def save(self, key: str, document: str | None) -> None:
        """None removes. Durable when it returns."""


class Store(Documents, Protocol):
    """What outlives the process. Losing it costs history, never machines."""

    def append_output(
        self,
        key: InstanceKey,
        machine: MachineId,
        context: str,
        offset: int,
        content: bytes,
        *,
        length: int | None = None,
    ) -> None:
        """Keep `content`, which stands for the `length` bytes from `offset` on.

        They are its own where it is left out; what is known of it is skipped then. Otherwise
        `offset` is not below what `output_size` says.
        """

    def output_size(self, key: InstanceKey, machine: MachineId, context: str) -> int:
        """The offset of the first byte that is not kept yet."""

    def locked(self) -> AbstractAsyncContextManager[None]:
        """Held by one live controller at a time; raises Stalled naming the other's process."""
