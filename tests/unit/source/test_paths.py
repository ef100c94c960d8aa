import pytest

from headwater.errors import Stalled
from headwater.source.trees import MANIFEST_BYTES, TOTAL_BYTES, Budget, watched_path


@pytest.mark.parametrize("path", ["", ".", "./"])
def test_the_root_has_one_name(path: str) -> None:
    assert watched_path(path) == ""


@pytest.mark.parametrize("path", ["a/b", "a/b/", "./a//b", "a/./b"])
def test_a_path_has_one_form(path: str) -> None:
    assert watched_path(path) == "a/b"


@pytest.mark.parametrize("path", ["/etc", "..", "a/../../b", "a\\b"])
def test_a_path_never_leaves_the_repository(path: str) -> None:
    with pytest.raises(Stalled, match="inside the repository"):
        watched_path(path)


def test_manifests_are_read_whatever_else_was() -> None:
    budget = Budget()
    while budget.allows("recipe.sh", 60_000):
        pass

    assert budget.allows("a.toml", MANIFEST_BYTES)
    assert not budget.allows("a.toml", MANIFEST_BYTES + 1)


def test_other_files_are_read_up_to_a_total() -> None:
    budget = Budget()
    read = sum(budget.allows("recipe.sh", 64 << 10) for _ in range(2000))

    assert read * (64 << 10) == TOTAL_BYTES
    assert not budget.allows("big.sh", (64 << 10) + 1)
