"""What the documents name exists: files, tests, rooms."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
    cwd=ROOT,
    capture_output=True,
    check=True,
    text=True,
).stdout.split()
LINK = re.compile(r"\]\(([^)\s]+)\)")
TEST = re.compile(r"\[`(\w+)`\]\((tests/[\w/]+\.py)\)")
REASONS = re.compile(
    r"nothing acts upon them|nothing to show( yet)?|.+'s own( affair)?|agents need .+"
)


def rows() -> list[list[str]]:
    """The cells of the README's table of SlipStream's features, its headings left out."""
    text = (ROOT / "README.md").read_text().partition("| SlipStream's feature |")[2]
    lines = text.partition("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    return [row for row in cells if not row[0].startswith("**")]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_linked_file_exists(document):
    file = ROOT / document
    links = [link for link in LINK.findall(file.read_text()) if "://" not in link]

    assert [link for link in links if not (file.parent / link.partition("#")[0]).exists()] == []


def test_the_table_of_features_has_rows_of_three_cells():
    found = rows()

    assert len(found) > 80
    assert [row for row in found if len(row) != 3 or not all(row)] == []


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_a_feature_is_shown_by_a_test_that_exists_or_says_why_not(row):
    *_, shown = row
    if (match := TEST.fullmatch(shown)) is None:
        assert REASONS.fullmatch(shown)
        return
    name, file = match.groups()
    assert re.search(rf"^ *(async )?def test_{name}\(", (ROOT / file).read_text(), re.MULTILINE)


def test_the_table_of_rooms_names_every_room_and_no_other():
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("| folder |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`controller/headwater/(\w+)/`", table))
    there = {path.parent.name for path in (ROOT / "controller/headwater").glob("*/__init__.py")}

    assert named == there
