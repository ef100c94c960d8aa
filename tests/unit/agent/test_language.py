"""The agent runs on the guest's Python, which may be 3.6, and brings nothing along."""

import ast
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

MODULES = sorted(
    (entry for entry in files("headwater_agent").iterdir() if entry.name.endswith(".py")),
    key=lambda entry: entry.name,
)
# All of them are in the standard library of 3.6 and of every later version.
IN_36 = {
    "_socket", "array", "base64", "binascii", "errno", "fcntl", "gzip", "io", "json", "os", "re",
    "select", "selectors", "shutil", "signal", "socket", "stat", "subprocess", "sys",
    "tarfile", "time", "traceback", "typing", "urllib",
}  # fmt: skip
NEWER = {"removeprefix", "removesuffix", "recv_fds", "send_fds", "waitstatus_to_exitcode"}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_the_syntax_is_that_of_python_36(module):
    tree = ast.parse(module.read_text(), feature_version=(3, 6))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.NamedExpr | ast.Match)]
    futures = [
        n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module == "__future__"
    ]
    assert not futures


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_only_the_old_standard_library_is_imported(module):
    names = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    assert names - {"headwater_agent"} <= IN_36


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_annotations_of_later_versions_are_quoted(module):
    for node in ast.walk(ast.parse(module.read_text())):
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            assert not isinstance(annotation, ast.Subscript | ast.BinOp)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_no_later_method_is_used(module):
    used = {
        node.attr
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Attribute)
    }
    assert not used & NEWER


def loaded_by(module: str) -> list[str]:
    """All modules of an interpreter that has imported this one."""
    place = Path(str(files("headwater_agent"))).parent
    script = f"import sys; sys.path.append({str(place)!r}); import headwater_agent.{module}"
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"{script}; print(*sys.modules)"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split()


def test_a_verb_imports_nothing_slow():
    loaded = loaded_by("verbs")
    assert "headwater_agent.verbs" in loaded
    assert not {"typing", "json", "re", "enum", "socket", "argparse", "collections"} & set(loaded)


def test_the_daemon_leaves_archives_to_the_fork_that_makes_one():
    loaded = loaded_by("daemon")
    assert "headwater_agent.collection" in loaded
    assert not {"tarfile", "gzip", "zlib", "shutil", "typing"} & set(loaded)
