"""The agent on other Pythons than the controller's, where this machine has them."""

import io
import shutil
import subprocess
import tarfile

import pytest

from harness.agent_line import machine_in
from headwater_agent import protocol


@pytest.mark.parametrize("version", ["3.6", "3.8", "3.13"])
def test_recipes_and_verbs_run_on_this_python(tmp_path, version):
    program = shutil.which(f"python{version}")
    found = subprocess.run(
        [program or "false", "-c", "import sys; print(sys.executable)"],
        capture_output=True,
        check=False,
        text=True,
    )
    if found.returncode:
        pytest.skip(f"no Python {version} on this machine")
    with machine_in(tmp_path / "machine") as machine:
        machine.python = found.stdout.strip()
        line = machine.attach()
        line.run("c1", "#!/bin/sh\necho $A; ss-get é; exit 3", environment={"A": "ü"})
        asked = line.receive("request", key="é")
        line.send(protocol.reply(asked["id"], 0, "ö", ""))
        end = line.ended("c1")
        assert (end["exit_code"], line.output("c1").decode()) == (3, "ü\nö\n")
        line.run("c2", "#!/bin/sh\nexec sleep 600", timeout=0.1)
        assert line.ended("c2")["reason"] == "timeout"
        line.task("t1", "#!/bin/sh\necho b > $SLIPSTREAM_REPORT_DIR/ü; exit 4", collects=True)
        end = line.task_ended("t1")
        assert (end["exit_code"], end["reason"]) == (4, "exit")
        with tarfile.open(fileobj=io.BytesIO(line.report("t1"))) as archive:
            assert archive.getnames() == ["ü"]
