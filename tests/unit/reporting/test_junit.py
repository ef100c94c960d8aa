"""JUnit XML out of our records, and out of what machines sent: nothing of that is believed."""

import gzip
import io
import tarfile
from xml.etree.ElementTree import Element, fromstring

import pytest

from headwater.planning.status import StepView
from headwater.reporting import junit
from headwater.reporting.junit import Results, Unreadable, document, parse, read_report

STEPS = (
    StepView("web.1", "machine", "web", "passed"),
    StepView("web.1", "deploy", "web", "failed", 7, "deploy exited with 7: \x1b[31mboom", 2.5),
    StepView("web.1", "deploy", "shop", "skipped", seconds=2.5),
    StepView("web.2", "machine", "web", "passed"),
)
SUITE = b'<testsuite name="curl" tests="1"><testcase name="page"/></testsuite>'


def archive(files: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> io.BytesIO:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(content)
            member.linkname = "/etc/passwd" if kind != tarfile.REGTYPE else ""
            tar.addfile(member, io.BytesIO(content))
    packed.seek(0)
    return packed


def written(*results: Results) -> Element:
    return fromstring(document("shop", STEPS, results))  # noqa: S314  # our own


def names(root: Element) -> list[str | None]:
    return [suite.get("name") for suite in root]


def test_every_instance_is_a_suite_and_every_step_a_case():
    root = written()
    first = root[0]

    assert names(root) == ["shop/web.1", "shop/web.2"]
    assert [first.get(n) for n in ("tests", "failures", "skipped", "time")] == [
        "3",
        "1",
        "1",
        "2.500",
    ]
    assert [case.get("name") for case in first] == [
        "machine (web)",
        "deploy (web)",
        "deploy (shop)",
    ]
    assert [[child.tag for child in case] for case in first] == [[], ["failure"], ["skipped"]]


def test_what_xml_cannot_carry_is_replaced():
    failure = written()[0][1][0]

    assert failure.get("message") == "deploy exited with 7: �[31mboom"


@pytest.mark.parametrize(
    "content",
    [SUITE, b"<testsuites>" + SUITE + b"<properties/></testsuites>"],
    ids=["one", "several"],
)
def test_what_recipes_left_stands_beside_it_with_its_instance(content):
    found = read_report("web.1", archive({"./results/a.XML": content, "b.log": b"<testsuite/>"}))

    assert names(written(found))[2:] == ["shop/web.1: curl"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<testsuite>", "it is not XML"),
        (b"", "it is not XML"),
        (b"\xff\xfe\x00", "it is not XML"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><testsuite>&a;</testsuite>', "it declares a document"),
        (b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><testsuite/>', "it declares a document type"),
        (b"<testsuite>" * 60 + b"</testsuite>" * 60, "nested deeper than 50"),
    ],
)
def test_a_malformed_file_is_a_failed_case_that_says_so(content, why):
    found = read_report("web.1", archive({"a.xml": content, "b.xml": SUITE}))
    *_, good, bad = written(found)

    assert good.get("name") == "shop/web.1: curl"
    assert (bad.get("failures"), bad[0].get("name")) == ("1", "a.xml")
    assert why in str(bad[0][0].get("message"))


def test_xml_of_another_kind_is_no_result():
    found = read_report("web.1", archive({"a.xml": SUITE, "b.xml": b"<html><testsuite/></html>"}))

    assert names(written(found))[2:] == ["shop/web.1: curl"]
    assert found.unreadable == ()


def test_a_file_that_is_too_large_is_not_read(monkeypatch):
    monkeypatch.setattr(junit, "FILE_LIMIT", 100)
    found = read_report("web.1", archive({"a.xml": SUITE + b" " * 100}))

    assert [file for file, _ in found.unreadable] == ["a.xml"]
    assert found.suites == ()


@pytest.mark.parametrize(
    ("limit", "value", "why"),
    [("MOST_FILES", 1, "more than 1 result files"), ("ARCHIVE_LIMIT", 2048, "unpacks to more")],
)
def test_an_archive_without_end_is_read_to_its_limit(monkeypatch, limit, value, why):
    monkeypatch.setattr(junit, limit, value)
    found = read_report("web.1", archive({f"{n}.xml": SUITE for n in range(20)}))

    assert len(found.suites) <= 2
    assert why in found.unreadable[-1][1]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
)
def test_only_regular_files_are_looked_at(kind):
    assert read_report("web.1", archive({"a.xml": b""}, kind)) == Results("web.1")


def test_names_that_lead_elsewhere_lead_nowhere():
    found = read_report("web.1", archive({"../../etc/a.xml": SUITE, "/abs.xml": SUITE}))

    assert len(found.suites) == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", gzip.compress(b"no tar"), archive({"a.xml": SUITE}).read()[:-20]],
    ids=["empty", "text", "no tar", "cut off"],
)
def test_a_broken_report_is_a_failed_case(content):
    found = read_report("web.1", io.BytesIO(content))

    assert [file for file, _ in found.unreadable] == ["the report"]


def test_billions_of_laughs_are_refused_before_they_begin():
    laughs = b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><testsuite name="&b;"/>'

    with pytest.raises(Unreadable, match="document type"):
        parse(laughs)
