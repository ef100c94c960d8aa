"""How this controller is configured: read once, frozen, and handed on in parts."""

import os
import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from headwater.errors import Refused

FILE = "headwater.toml"
PREFIX = "HEADWATER_"
_UNITS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_STORE = re.compile(r"([a-z0-9_]+)://([^/\s]+)/?([^\s]*)")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:\s]+):(\d{1,5})")


def default_state() -> Path:
    """The state directory where none is named: $HEADWATER_STATE, or `.headwater` right here."""
    return Path(os.environ.get(f"{PREFIX}STATE") or ".headwater")


def seconds(value: object) -> object:
    """Seconds of a duration such as `30s`, `10m` or `1.5h`; a bare number counts seconds.

    Raises ValueError for any other text; what is no text is returned as it is.
    """
    if not isinstance(value, str):
        return value
    if (match := _DURATION.fullmatch(value.strip())) is None:
        raise ValueError(f"{value!r} is not a duration: write 30s, 10m or 8h")
    return float(match[1]) * _UNITS[match[2] or ""]


def _address(value: str) -> str:
    match = _ADDRESS.fullmatch(value)
    if value and (match is None or int(match[2]) > 65535):  # noqa: PLR2004  # the last TCP port
        raise ValueError(f"{value!r} is not HOST:PORT, such as 127.0.0.1:9464")
    return value


Seconds = Annotated[float, BeforeValidator(seconds), Field(gt=0, allow_inf_nan=False)]


class ReportStore(BaseModel):
    """An object store that libcloud drives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    driver: str
    """libcloud's name of the provider: `s3`, `google_storage`, `azure_blobs`, `local`."""
    container: Annotated[str, Field(min_length=1)]
    prefix: str = ""
    """Before the names of all objects."""
    credentials: str = ""
    """A name in the secrets directory: the driver's own arguments (`key`, `secret`)."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the driver: `host`, `region`."""


def _store(value: object) -> object:
    """The table that `DRIVER://CONTAINER/PREFIX` stands for; its credentials have its name."""
    if not isinstance(value, str):
        return value
    if (match := _STORE.fullmatch(value)) is None:
        raise ValueError(f"{value!r} is not DRIVER://CONTAINER/PREFIX, such as s3://reports/ci")
    driver, container, prefix = match.groups()
    return {"driver": driver, "container": container, "prefix": prefix, "credentials": driver}


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    repository: str = "."
    """A local path or any URL that Git fetches from."""
    branch: str = "main"
    path: str = ""
    """Only manifests below this folder of the repository count."""
    state: Path = Field(default_factory=default_state)
    """Everything that outlives the process; one live controller at a time."""
    listen: Annotated[str, AfterValidator(_address)] = "127.0.0.1:9464"
    """HOST:PORT of metrics and the read-only API. Port 0 takes any; empty listens nowhere."""
    interval: Seconds = 30.0
    """Between two looks at the repository, whatever the hints say."""
    log_format: Literal["auto", "human", "json"] = "auto"
    known_hosts: Path | None = None
    """Host keys of the Git server, for ssh."""
    ssh_key: Path | None = None
    """The private key for the Git server."""
    secrets: Path | None = None
    """The directory of secrets, if not `secrets` in the state directory.

    Clouds' credentials are in the latter, whatever is said here.
    """
    age_identity: Path | None = None
    """The private key for age-encrypted secrets in the repository."""
    workers: Annotated[int, Field(ge=1, le=256)] = 4
    """Deployments worked on at the same time."""
    resync: Seconds = 10.0
    """Between two looks at the clouds while nothing happens."""
    allow_rewind: bool = False
    """Accept a branch that no longer contains the last accepted revision (a force-push)."""
    prices: Path | None = None
    """Prices of sizes per hour, by cloud; they win over what the clouds' drivers know."""
    quarantine: Annotated[float, BeforeValidator(seconds), Field(ge=0, allow_inf_nan=False)] = 0.0
    """How long a volume that nobody asks for any more is kept before it is deleted."""
    timeout: Seconds | None = None
    """End the whole run after this long."""

    reports: Annotated[ReportStore | None, BeforeValidator(_store)] = None
    """Where reports go, if not below the state directory: `s3://container/prefix`, or a table."""

    @property
    def secrets_directory(self) -> Path:
        return (self.secrets or self.state / "secrets").absolute()


_PATHS = ("state", "known_hosts", "ssh_key", "secrets", "age_identity", "prices")


def load(
    flags: Mapping[str, object],
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Settings from defaults, file, environment and flags; what comes later wins.

    The file is `config`, or `headwater.toml` of the current directory if there is one; paths in it
    are relative to it. Flags that are None were not given. Raises Refused naming file and key.
    """
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    environ = os.environ if environ is None else environ
    file = Path(FILE) if config is None and Path(FILE).is_file() else config
    for name, value in _from_file(file).items() if file else ():
        values[name], origins[name] = value, f"{file}: {to_camel(name)}"
    for name in Settings.model_fields:
        if (variable := PREFIX + name.upper()) in environ:
            values[name], origins[name] = environ[variable], variable
        if flags.get(name) is not None:
            values[name], origins[name] = flags[name], "--" + name.replace("_", "-")
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        origin = origins.get(str(first["loc"][0]), str(first["loc"][0]))
        raise Refused(f"{origin}: {first['msg'].removeprefix('Value error, ')}") from None


def _from_file(file: Path) -> dict[str, object]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused(f"cannot read {file}: {error.strerror}") from None
    except ValueError as error:
        raise Refused(f"{file} is not valid TOML: {error}") from None
    known = {to_camel(name): name for name in Settings.model_fields}
    for key in document:
        if key not in known:
            near = get_close_matches(key, known, 1)
            hint = f"did you mean '{near[0]}'?" if near else "known: " + ", ".join(known)
            raise Refused(f"{file}: unknown key '{key}' ({hint})")
    values = {known[key]: value for key, value in document.items()}
    for name in _PATHS:
        if isinstance(values.get(name), str):
            values[name] = file.parent / str(values[name])
    return values
