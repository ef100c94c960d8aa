import json
import os
import subprocess
import sys

import pytest

from headwater.cloud.hostkeys import HostKeys
from headwater.cloud.userdata import LIMIT, cloud_config
from headwater.errors import Stalled

LOGIN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILgCkqlWDLce6dkOpYsgNJ+fWbSQ5Y40GNadVZJ4hmtN"
HOST = HostKeys(b"s" * 32).of("token")
CLOUD_INIT = "HEADWATER_TEST_CLOUD_INIT"
"""Where cloud-init's Python modules lie; see .ci/run."""


def content(user: str) -> dict[str, object]:
    first, rest = cloud_config(user, LOGIN, HOST).split("\n", 1)
    assert first == "#cloud-config"
    found: dict[str, object] = json.loads(rest)
    return found


@pytest.mark.parametrize("user", ["root", "admin", "o'neill: [x]"])
def test_cloud_init_takes_it(user, tmp_path) -> None:
    if CLOUD_INIT not in os.environ:
        pytest.skip(f"{CLOUD_INIT} does not say where cloud-init's modules are")
    file = tmp_path / "user-data"
    file.write_text(cloud_config(user, LOGIN, HOST))

    ended = subprocess.run(
        [sys.executable, "-m", "cloudinit.cmd.main", "schema", "--config-file", str(file)],
        env={**os.environ, "PYTHONPATH": os.environ[CLOUD_INIT]},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, ""), ended
    assert "Valid" in ended.stdout


def test_it_carries_the_host_key_and_only_this_one() -> None:
    said = content("root")

    assert said["ssh_keys"] == {"ed25519_private": HOST.private, "ed25519_public": HOST.public}
    assert said["ssh_deletekeys"] is True


def test_root_logs_in_where_root_is_the_login_user() -> None:
    said = content("root")

    assert said["ssh_authorized_keys"] == [LOGIN]
    assert said["disable_root"] is False


def test_another_login_user_may_become_root() -> None:
    said = content("admin")

    assert said["users"] == [
        "default",
        {
            "name": "admin",
            "ssh_authorized_keys": [LOGIN],
            "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "lock_passwd": True,
            "shell": "/bin/bash",
        },
    ]
    assert "disable_root" not in said


def test_a_repeated_call_says_the_same() -> None:
    again = HostKeys(b"s" * 32).of("token")

    assert cloud_config("root", LOGIN, HOST) == cloud_config("root", LOGIN, again)


def test_what_no_cloud_takes_is_refused_before_any_is_asked() -> None:
    with pytest.raises(Stalled, match=f"a cloud takes {LIMIT}"):
        cloud_config("root", f"ssh-rsa {'A' * LIMIT}", HOST)
