"""What a machine is given as it is made, for cloud-init: who may log in, and how it proves itself.

Everything else is pushed over SSH.
"""

import json

from headwater.cloud.hostkeys import HostKey
from headwater.errors import Stalled

LIMIT = 16 * 1024
"""Bytes, before they are encoded: EC2's limit, and the smallest of any cloud."""


def cloud_config(login_user: str, authorized_key: str, host_key: HostKey) -> str:
    """The same for the same arguments. Raises Stalled where no cloud would take it."""
    content: dict[str, object] = {
        "ssh_deletekeys": True,
        "ssh_keys": {
            "ed25519_private": host_key.private,
            "ed25519_public": host_key.public,
        },
        "ssh_pwauth": False,
    }
    if login_user == "root":
        content |= {"disable_root": False, "ssh_authorized_keys": [authorized_key]}
    else:
        # One that the image has keeps what it is; cloud-init merges the two.
        login = {
            "name": login_user,
            "ssh_authorized_keys": [authorized_key],
            "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "lock_passwd": True,
            "shell": "/bin/bash",
        }
        content["users"] = ["default", login]
    # JSON is YAML too, and nothing in it can be mistaken.
    text = "#cloud-config\n" + json.dumps(content, indent=1, sort_keys=True) + "\n"
    if len(text.encode()) > LIMIT:
        raise Stalled(
            f"the user data of a machine has {len(text.encode())} bytes, and a cloud takes"
            f" {LIMIT}: the login user {login_user[:20]!r} or the controller's login key is too"
            " long"
        )
    return text
