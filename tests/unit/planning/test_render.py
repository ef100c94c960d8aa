"""Plans for people and programs."""

import json
from typing import Any

from fakes.builders import desired, key, machine, node, record, situation
from headwater.manifests.resolved import Update
from headwater.planning.planner import Plan, plan
from headwater.planning.render import as_document, as_markdown, as_text, counts, summary

OLD = desired(node("web"), node("db"))
NEW = desired(node("web", image="debian-13"), node("db", deploy="#!/bin/sh\nx\n"), node("new"))


def mixed() -> Plan:
    """One of each: a creation, a change, a replacement, a deletion."""
    web, db = OLD.instances.values()
    extra = machine(web, "m9", instance=key("gone.1"))
    there = [(machine(web), record(web)), (machine(db, "m2"), record(db)), (extra, None)]
    return plan(situation(NEW, there))


def unchanged() -> Plan:
    web = desired(node("web"), name="calm")
    (spec,) = web.instances.values()
    return plan(situation(web, [(machine(spec), record(spec))]))


def test_every_decision_has_its_symbol():
    assert as_text([mixed()]).splitlines()[1:5] == [
        "  - gone.1  m9  # node gone is no longer in the manifest",
        "  + new.1   debian on local  # new",
        "  ± web.1   debian-13 on local  # replace: image, size, cloud or network changed",
        "  ~ db.1    run deploy  # recipe or inputs changed",
    ]


def test_counts_name_every_kind():
    assert counts([mixed()]) == {"create": 1, "change": 1, "replace": 1, "delete": 1}
    assert summary([mixed(), unchanged()]) == "+1 ~1 ±1 -1"


def test_breaking_before_making_counts_as_one_replacement_and_no_deletion():
    web = desired(node("web", image="debian-13"), update=Update(max_surge=0))
    (spec,) = desired(node("web")).instances.values()
    decided = plan(situation(web, [(machine(spec), record(spec))]))

    assert summary([decided]) == "+0 ~0 ±1 -0"


def test_a_plan_without_changes_is_one_line():
    assert as_text([unchanged()]) == "No changes: 1 deployments are as the manifests say.\n"


def test_unchanged_deployments_are_counted_beside_the_others():
    assert as_text([mixed(), unchanged()]).endswith("Plan: +1 ~1 ±1 -1, 1 unchanged\n")


def test_what_is_held_back_is_shown_with_its_reason():
    held = plan(situation(NEW, incomplete="half of it"))

    assert "  ! nothing is created or deleted: half of it\n" in as_text([held])
    assert "> nothing is created or deleted: half of it" in as_markdown([held])


def test_markdown_has_one_table_per_changed_deployment():
    text = as_markdown([mixed(), unchanged()])

    assert text.startswith("**Plan: +1 ~1 ±1 -1**\n\n### shop\n")
    assert text.count("| Instance |") == 1
    assert "| `+` | new.1 | debian on local | new |" in text
    assert "calm" not in text


def test_the_document_is_plain_and_whole():
    document: dict[str, Any] = as_document([mixed(), unchanged()])

    assert json.loads(json.dumps(document)) == document
    assert document["counts"] == {"create": 1, "change": 1, "replace": 1, "delete": 1}
    assert [d["name"] for d in document["deployments"]] == ["shop", "calm"]
    assert document["deployments"][0]["digest"] == mixed().digest
    assert document["deployments"][0]["actions"][1] == {
        "kind": "create",
        "instance": "new.1",
        "detail": "debian on local",
        "reason": "new",
    }


def test_the_text_shows_the_digest_that_an_approval_names():
    assert f"shop  (digest {mixed().digest})" in as_text([mixed()])
