"""Manifests and agent messages under coverage-guided fuzzing, for as long as one likes.

pip install -e ".[fuzz]"
python tests/faults/fuzz_atheris.py manifests -max_total_time=3600 corpus/
python tests/faults/fuzz_atheris.py messages -max_total_time=3600 corpus/

What follows the target goes to libFuzzer. An input that raises is written to `crash-*`.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

try:
    import atheris  # type: ignore[import-untyped]  # an extra: it brings libFuzzer along
except ImportError:
    sys.exit("atheris is not installed: pip install -e '.[fuzz]'")

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

with atheris.instrument_imports(include=["headwater", "headwater_agent"]):
    from headwater.manifests.catalog import compile_catalog
    from headwater.manifests.parse import Parser
    from headwater.manifests.snapshot import File, FileKind, Snapshot
    from headwater.remote import wire
    from headwater.topology.keys import MachineId
    from headwater_agent.frames import unpack
    from headwater_agent.protocol import Decoder, ProtocolError

from unit.manifests.texts import GOOD, file


def manifests(content: bytes) -> None:
    files = {path: file(text) for path, text in GOOD.items()}
    files["any/any.toml"] = File("any", FileKind.REGULAR, len(content), content)
    compile_catalog(Snapshot("c0ffee", files), Parser())


def messages(content: bytes) -> None:
    with suppress(ValueError):
        unpack(content, 6)
    with suppress(ProtocolError):
        for message in Decoder().feed(content):
            wire.event(MachineId("local", "m"), message)
            wire.request(MachineId("local", "m"), message)


TARGETS: dict[str, Callable[[bytes], None]] = {"manifests": manifests, "messages": messages}

if __name__ == "__main__":
    if sys.argv[1:2] not in [[name] for name in TARGETS]:
        sys.exit(f"name a target: {' or '.join(TARGETS)}")
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
