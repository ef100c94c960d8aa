"""Virtual machines of a real image, with its own cloud-init and SSH server, where one is named."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.program import Program
from e2e.program import program as started_on
from e2e.systems import document, example, nothing, resource
from harness import qemu
from headwater.cloud.qemu.driver import QemuNodeDriver

IMAGE = os.environ.get("HEADWATER_TEST_QEMU_IMAGE", "")
MINUTES = 20
"""Emulated, on a busy host, a distribution takes several to boot."""
pytestmark = [
    qemu.needs_qemu,
    pytest.mark.skipif(not IMAGE, reason="HEADWATER_TEST_QEMU_IMAGE names no image"),
]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Program]:
    with started_on(tmp_path, "") as program:
        yield program
    driver = QemuNodeDriver(str(program.state / "qemu"))
    for node in driver.list_nodes():
        driver.destroy_node(node)


def test_machines_prove_themselves_converge_and_reach_each_other(host: Program) -> None:
    cloud = {"driver": "qemu", "options": {"images": str(Path(IMAGE).parent)}}
    image = {"ids": {"local": Path(IMAGE).name}, "platform": "debian"}
    files = example("hello-world", "") | {
        "clouds/local.toml": document(resource("Cloud", "local", cloud)),
        "images/debian-12.toml": document(
            resource("Image", "debian-12", image), resource("Image", "host", image)
        ),
    }
    name = "hello-world/deployment.toml"
    patience = f'provision = "{MINUTES}m", execute = "{MINUTES}m"'
    files[name] = files[name].replace('provision = "5m", execute = "5m"', patience)
    host.repository.commit(files | nothing())
    host.start()

    waited = host.verb("wait", "--timeout", f"{MINUTES}m", seconds=60.0 * MINUTES)

    assert waited.code == 0, (waited, host.said("status", "hello-world"))
    server = host.parameters("hello-world")["apache1.1"]["hostname"]
    client = host.parameters("hello-world")["testclient1.1"]["fetched"]
    assert server in {"10.77.0.2", "10.77.0.3"}
    assert server in str(client)

    host.repository.commit({file: None for file in files if file.startswith("hello-world/")})
    host.until_gone("hello-world")
    assert QemuNodeDriver(str(host.state / "qemu")).list_nodes() == []
