from pathlib import Path

import pytest

from headwater.errors import Refused
from headwater.settings import ReportStore, Settings, default_state, load, seconds


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADWATER_STATE", raising=False)
    return tmp_path


def test_there_is_a_default_for_everything():
    settings = load({}, environ={})

    assert settings == Settings()
    assert settings.state == Path(".headwater")
    assert settings.listen == "127.0.0.1:9464"


def test_flags_beat_the_environment_and_that_beats_the_file(here: Path):
    (here / "headwater.toml").write_text('branch = "a"\nworkers = 7\npath = "p"\n')
    environ = {"HEADWATER_BRANCH": "b", "HEADWATER_WORKERS": "8", "HOME": "/"}
    settings = load({"branch": "c", "workers": None}, environ=environ)

    assert (settings.branch, settings.workers, settings.path) == ("c", 8, "p")


def test_a_quarantine_is_a_duration_and_there_is_none_by_default(here: Path):
    assert load({}, environ={}).quarantine == 0
    (here / "headwater.toml").write_text('quarantine = "24h"\n')
    assert load({}, environ={}).quarantine == 24 * 3600
    with pytest.raises(Refused, match="HEADWATER_QUARANTINE"):
        load({}, environ={"HEADWATER_QUARANTINE": "-1"})


def test_a_named_file_is_read_instead_and_its_paths_are_its_own(here: Path):
    (here / "headwater.toml").write_text('branch = "a"\n')
    (here / "etc").mkdir()
    (here / "etc" / "h.toml").write_text('state = "../s"\nsshKey = "/abs/key"\ninterval = "2m"\n')
    settings = load({}, Path("etc/h.toml"), environ={})

    assert settings.branch == "main"
    assert settings.state == Path("etc/../s")
    assert settings.ssh_key == Path("/abs/key")
    assert settings.interval == 120


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('intervall = "2m"', r"headwater.toml: unknown key 'intervall' \(did you mean 'interval'"),
        ("zzz = 1", r"headwater.toml: unknown key 'zzz' \(known: repository, branch"),
        ('interval = "soon"', r"headwater.toml: interval: 'soon' is not a duration"),
        ('logFormat = "xml"', r"headwater.toml: logFormat: .*'human'"),
        ('reports = "bucket"', r"headwater.toml: reports: 'bucket' is not DRIVER://CONTAINER"),
        ("reports = { driver = 's3' }", r"headwater.toml: reports: Field required"),
        ("workers = 0", r"headwater.toml: workers: .*greater"),
        ("branch = \n", r"headwater.toml is not valid TOML: .*line 1"),
    ],
)
def test_a_wrong_file_is_named_with_its_key(here: Path, text: str, message: str):
    (here / "headwater.toml").write_text(text)

    with pytest.raises(Refused, match=message):
        load({}, environ={})


def test_a_missing_file_that_was_named_is_an_error():
    with pytest.raises(Refused, match=r"cannot read none.toml: No such file"):
        load({}, Path("none.toml"), environ={})


def test_a_wrong_variable_or_flag_is_named_as_it_was_given():
    with pytest.raises(Refused, match=r"^HEADWATER_LISTEN: .* is not HOST:PORT"):
        load({}, environ={"HEADWATER_LISTEN": "9464"})
    with pytest.raises(Refused, match=r"^--log-format: "):
        load({"log_format": "xml"}, environ={})


@pytest.mark.parametrize("listen", ["", "127.0.0.1:0", "[::1]:9464", "0.0.0.0:80", "localhost:1"])
def test_addresses_that_can_be_listened_on(listen: str):
    assert load({"listen": listen}, environ={}).listen == listen


@pytest.mark.parametrize("listen", ["::1:9464", "a:b", "host:99999", "9464", "h:1:2"])
def test_addresses_that_cannot(listen: str):
    with pytest.raises(Refused, match="HOST:PORT"):
        load({"listen": listen}, environ={})


def test_the_state_directory_can_be_moved_by_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HEADWATER_STATE", "/var/lib/headwater")

    assert default_state() == Path("/var/lib/headwater")
    assert Settings().state == Path("/var/lib/headwater")


@pytest.mark.parametrize(
    ("text", "value"),
    [("30s", 30), ("10m", 600), ("1.5h", 5400), ("250ms", 0.25), ("12", 12), (" 5s ", 5)],
)
def test_durations_are_read_as_seconds(text: str, value: float):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "s", "10 days", "-5s", "1e3", "5m30s"])
def test_what_is_no_duration_is_refused(text: str):
    with pytest.raises(ValueError, match="is not a duration"):
        seconds(text)


def test_an_object_store_for_reports_is_a_table_or_an_address(here: Path):
    (here / "headwater.toml").write_text(
        '[reports]\ndriver = "s3"\ncontainer = "ci"\ncredentials = "ci"\noptions = { port = 1 }\n'
    )
    table = load({}, environ={}).reports
    address = load({}, environ={"HEADWATER_REPORTS": "s3://bucket/a/b"}).reports

    assert table == ReportStore(driver="s3", container="ci", credentials="ci", options={"port": 1})
    assert address == ReportStore(driver="s3", container="bucket", prefix="a/b", credentials="s3")


def test_secrets_lie_in_the_state_directory_unless_a_setting_names_another(here: Path):
    (here / "headwater.toml").write_text('secrets = "vault"\nageIdentity = "keys/age"\n')
    settings = load({}, environ={})

    assert settings.secrets_directory == here / "vault"
    assert settings.age_identity == Path("keys/age")
    assert Settings(state=Path("s")).secrets_directory == here / "s" / "secrets"
