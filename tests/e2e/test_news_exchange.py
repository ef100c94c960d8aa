"""One template, many sites: a set converges, its stores replicate, a site more is a line more."""

import json
import os
import re
import time
from itertools import count
from urllib.request import ProxyHandler, build_opener

from e2e.program import DEADLINE, Program
from e2e.systems import example, nothing
from local_cloud import wait_until

CONTACT = "127.0.0.1:7077"
SITES = ("geneva", "london", "paris")
NUMBER = count(1)
SITE = """
[[spec.sites]]
name = "rome"
cloud = "local"
fronts = 1
stores = 1
contact = "CONTACT"
after = ["news-contact"]
"""


def contact() -> str:
    """An address that no other exchange on this host has."""
    high, low = divmod(os.getpid() % 65000, 250)
    return f"127.{192 + next(NUMBER) % 60}.{high % 250}.{low + 1}:7077"


def begin(program: Program) -> str:
    """The exchange is Ready; where its contact listens."""
    address = contact()
    files = example("news-exchange", program.level)
    files = {path: text.replace(CONTACT, address) for path, text in files.items()}
    program.repository.commit(files | nothing())
    program.start()
    program.until_ready("news-development-dev")
    for site in SITES:
        program.until_ready(f"news-exchange-{site}")
    return address


def ask(url: str, story: str | None = None) -> str:
    opener = build_opener(ProxyHandler({}))
    with opener.open(url, story.encode() if story else None, timeout=DEADLINE) as answer:
        return str(answer.read().decode())


def heard_of(members: str) -> set[str]:
    """The stores that the contact knows."""
    return set(json.loads(ask(f"http://{members}/")))


def until_read(url: str, story: str) -> None:
    wait_until(lambda: story in ask(url), f"{story} at {url}")


def front(program: Program, deployment: str) -> str:
    url = program.parameters(deployment)["front.1"]["url.front"]
    assert url
    return url


def test_a_story_published_at_one_site_is_read_at_all_the_others_and_nowhere_else(
    program: Program,
):
    members = begin(program)
    fronts = {site: front(program, f"news-exchange-{site}") for site in SITES}

    ask(fronts["geneva"], "LEP starts <again>")
    for url in fronts.values():
        until_read(url, "LEP starts &lt;again&gt; (geneva)")
    ask(fronts["paris"], "Concorde lands")
    for url in fronts.values():
        until_read(url, "Concorde lands (paris)")

    assert "<li>" not in ask(front(program, "news-development-dev"))
    stores = program.instances("news-exchange-london")
    assert {stores["store.1"].address, stores["store.2"].address} <= heard_of(members)


def test_a_site_comes_and_goes_with_its_lines_in_the_set(program: Program):
    address = begin(program)
    created = program.machines().keys()
    sites = program.repository.path / "news-exchange/sites.toml"
    three = sites.read_text()

    program.repository.commit(
        {"news-exchange/sites.toml": three + SITE.replace("CONTACT", address)}
    )
    program.until_ready("news-exchange-rome")
    ask(front(program, "news-exchange-rome"), "Sale")
    until_read(front(program, "news-exchange-geneva"), "Sale (rome)")
    four = program.machines().keys()
    program.repository.commit({"news-exchange/sites.toml": three})
    program.until_gone("news-exchange-rome")

    assert len(four - created) == 2
    assert program.machines().keys() == created


def test_sites_are_made_after_what_they_depend_on_and_go_before_it(program: Program):
    begin(program)
    actions = program.events("action.ended")
    made = [e["deployment"] for e in actions if e["action"] == "create"]
    first_site = min(made.index(f"news-exchange-{site}") for site in SITES)
    ready = next(
        e
        for e in program.events("deployment.status_changed")
        if e["deployment"] == "news-contact" and e["phase"] == "Ready"
    )
    site = next(
        e
        for e in actions
        if e["deployment"].startswith("news-exchange") and e["action"] == "create"
    )

    assert made.index("news-contact") < first_site
    assert ready["time"] < site["time"]

    program.repository.git("rm", "-qr", "news-exchange")
    program.repository.commit({})
    deadline = time.monotonic() + DEADLINE
    while program.machines():
        assert time.monotonic() < deadline, program.said("status")
        for deployment in program.status().deployments:
            if asked := re.search("headwater approve ([0-9a-f]+)", deployment.blocked):
                program.said("approve", asked[1])
    gone = [e["deployment"] for e in program.events("action.ended") if e["action"] == "terminate"]

    assert gone[-1] == "news-contact"
    assert not program.layout.ids()
