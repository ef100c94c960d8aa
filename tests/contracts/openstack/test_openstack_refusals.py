"""What happens when OpenStack says no, or nothing that makes sense."""

import asyncio
import re
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from contracts.asking import make, opened
from contracts.openstack.asking import (
    SPEC,
    batch,
    order,
    refusal,
    refusal_of,
    refuse,
    server,
    until,
)
from fakes.openstack import keystone
from fakes.openstack.endpoint import HTML
from fakes.openstack.glance import IMAGE
from fakes.openstack.refusals import Refused
from fakes.serving import Answer
from headwater.cloud import pace
from headwater.cloud.openstack.options import read
from headwater.cloud.openstack.session import Session
from headwater.errors import Stalled, Throttled, Transient
from headwater.manifests.resolved import ResolvedCloud, Size
from headwater.topology.batches import batched
from headwater.topology.keys import MachineId

# Who may.


@pytest.mark.parametrize(("secret", "right"), [(keystone.SECRET, True), ("wrong-1", False)])
async def test_an_application_credential_is_enough(endpoint, tmp_path, secret, right) -> None:
    login = {
        "auth_url": endpoint.auth_url,
        "application_credential_id": keystone.APPLICATION,
        "application_credential_secret": secret,
    }
    async with opened(ResolvedCloud("lab", "openstack", options=login), tmp_path) as gateway:
        listing = await gateway.observe("lab")

    assert listing.complete is right
    assert right or "check the credentials" in listing.error


@pytest.mark.parametrize(
    "wrong", [{"password": "wrong-1"}, {"username": "nobody"}, {"project": "other"}]
)
async def test_wrong_credentials_are_said(endpoint, tmp_path, wrong) -> None:
    async with opened(endpoint.cloud("lab", **wrong), tmp_path) as gateway:
        listing = await gateway.observe("lab")

    assert not listing.complete
    assert "check the credentials" in listing.error
    assert "requires authentication" in listing.error
    assert not any(value in listing.error for value in wrong.values())


async def test_a_token_that_has_expired_is_replaced_once(gateway, endpoint) -> None:
    await make(gateway, batch(1))
    endpoint.project.keystone.revoke()
    endpoint.clear()

    listing = await gateway.observe("lab")

    assert listing.complete
    asked = [call.action for call in endpoint.calls]
    assert asked[:3] == ["GET /servers/detail", "POST /auth/tokens", "GET /servers/detail"]
    assert endpoint.refused == [401]


async def test_a_token_that_is_refused_again_is_not_asked_for_for_ever(gateway, endpoint) -> None:
    refuse(endpoint, "GET /servers/detail", Refused(401, "not you"))

    listing = await gateway.observe("lab")

    assert "check the credentials" in listing.error
    assert endpoint.counted() == {"GET /servers/detail": 2, "POST /auth/tokens": 1}


@pytest.mark.parametrize(("lasts", "used"), [(3600, 3540), (30, 15)])
def test_a_token_is_not_used_until_its_very_end(endpoint, lasts, used) -> None:
    endpoint.project.keystone.lifetime = timedelta(seconds=lasts)
    now = 0.0
    session = Session("lab", read(endpoint.cloud("lab"), {}), lambda: now)

    first = session.token()
    now = used - 1.0
    same = session.token()
    now = used + 1.0
    other = session.token()

    assert first is same
    assert other.id != first.id
    assert first.id not in repr(first)


async def test_a_keystone_that_is_elsewhere_is_said(endpoint, tmp_path) -> None:
    refuse(endpoint, "POST /auth/tokens", Refused(404, "Not Found"))
    async with opened(endpoint.cloud("lab"), tmp_path) as gateway:
        assert "option auth_url" in (await gateway.observe("lab")).error


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            {"region": "RegionTwo"},
            r"no public endpoint of compute in region 'RegionTwo'.*RegionOne",
        ),
        ({"interface": "admin"}, r"no admin endpoint of compute that is the only one.*none"),
    ],
)
async def test_an_endpoint_that_there_is_not_is_said(endpoint, tmp_path, said, words) -> None:
    async with opened(endpoint.cloud("lab", **said), tmp_path) as gateway:
        with pytest.raises(Stalled, match=words):
            gateway.capabilities("lab")


# Bad input.


@pytest.mark.parametrize("image", ["debian-13", "00000000-0000-4000-8000-000000000000"])
async def test_an_image_that_there_is_not_names_its_field(gateway, image) -> None:
    spec = replace(SPEC, image_id=image)
    error = await refusal(gateway, spec)

    assert isinstance(error, Stalled)
    assert re.search(rf"image 'debian' .* spec\.ids\.lab = '{image}'", str(error))
    with pytest.raises(Stalled, match=r"spec\.ids\.lab"):
        await gateway.image(spec)


async def test_an_image_that_has_a_namesake_is_not_guessed(gateway, endpoint) -> None:
    ids = [endpoint.project.glance.id(IMAGE), *(endpoint.project.glance.add(IMAGE) for _ in "ab")]

    error = await refusal(gateway)

    assert isinstance(error, Stalled)
    assert "3 images have this name" in str(error)
    assert all(id in str(error) for id in ids[:1])


async def test_an_image_that_is_not_active_is_none(gateway, endpoint) -> None:
    id = endpoint.project.glance.add("fresh", "queued")

    assert "no active image" in str(await refusal(gateway, replace(SPEC, image_id="fresh")))
    with pytest.raises(Stalled, match="queued"):
        await gateway.image(replace(SPEC, image_id=id))


@pytest.mark.parametrize("size", [Size(name="huge"), Size(cpus=1000)])
async def test_a_size_that_there_is_not_names_its_field(gateway, endpoint, size) -> None:
    error = await refusal(gateway, replace(SPEC, size=size))

    assert isinstance(error, Stalled)
    assert "spec.sizes" in str(error)
    assert "POST /servers" not in endpoint.counted()


async def test_a_flavor_that_went_since_is_said_and_forgotten(gateway, endpoint) -> None:
    await make(gateway, batch(1))
    endpoint.project.nova.flavors.pop(0)

    error = await refusal_of(gateway, 2)

    assert isinstance(error, Stalled)
    assert "spec.size" in str(error)
    await make(gateway, batch(2, spec=replace(SPEC, size=Size(cpus=1))))
    assert server(endpoint)["flavorRef"] == "2"


@pytest.mark.parametrize("option", ["network", "floating_network"])
async def test_a_network_that_there_is_not_names_its_option(endpoint, tmp_path, option) -> None:
    async with opened(endpoint.cloud("lab", **{option: "nowhere"}), tmp_path) as gateway:
        answers = await gateway.create(batch(1))
        if option == "floating_network":
            [machine] = await until(gateway, lambda m: bool(m[0].facts.get("fault")))
            answers = [Stalled(machine.facts["fault"])]

    [error] = answers
    assert isinstance(error, Stalled)
    assert f"no network 'nowhere': correct its option {option}" in str(error)


async def test_a_network_that_has_a_namesake_is_not_guessed(endpoint, tmp_path) -> None:
    id = endpoint.project.neutron.add_network("private", "10.9.0.0/16")
    async with opened(endpoint.cloud("lab", network="private"), tmp_path) as gateway:
        named = await refusal(gateway)
    async with opened(endpoint.cloud("lab", network=id), tmp_path) as gateway:
        await make(gateway, batch(1))

    assert "2 networks are called 'private'" in str(named)
    assert id in str(named)


async def test_of_several_networks_one_must_be_said(gateway, endpoint) -> None:
    endpoint.project.neutron.add_network("other", "10.9.0.0/16")

    error = await refusal(gateway)

    assert isinstance(error, Stalled)
    assert "option network" in str(error)


async def test_user_data_that_is_too_long_is_refused_here(gateway, endpoint) -> None:
    [answer] = await gateway.create(
        batched([replace(order(1), authorized_key="ssh-rsa " + "A" * 17000)], {})
    )

    assert isinstance(answer, Stalled)
    assert "POST /servers" not in endpoint.counted()


@pytest.mark.parametrize("status", [413, 429, 503])
async def test_who_asks_for_patience_is_given_it(gateway, endpoint, status) -> None:
    refuse(endpoint, "POST /servers", Refused(status, "slow down", retry_after="7"), 1)

    error = await refusal(gateway)

    assert isinstance(error, Throttled)
    assert error.retry_after == 7


async def test_a_conflict_passes(gateway, endpoint) -> None:
    [machine] = await make(gateway, batch(1))
    words = "Cannot 'delete' instance while it is in task_state rebuilding"
    refuse(endpoint, "DELETE /servers/*", Refused(409, words), 1)

    with pytest.raises(Transient, match="rebuilding"):
        await gateway.terminate(machine)
    await gateway.terminate(machine)

    assert endpoint.project.nova.servers == {}


async def test_one_machine_that_stays_keeps_no_other_one(gateway, endpoint) -> None:
    made = await make(gateway, batch(1, 2, 3))
    refuse(endpoint, "DELETE /servers/*", Refused(403, "Policy doesn't allow it"), 1)

    ends = [gateway.terminate(machine) for machine in made]
    answers = await asyncio.gather(*ends, return_exceptions=True)

    assert sorted(type(answer).__name__ for answer in answers) == [
        "NoneType",
        "NoneType",
        "Stalled",
    ]
    assert len(endpoint.project.nova.servers) == 1


async def test_ids_that_could_lead_elsewhere_end_nothing_else(gateway, endpoint) -> None:
    [machine] = await make(gateway, batch(1))

    await gateway.terminate(replace(machine, id=MachineId("lab", f"x/../{machine.id.id}")))

    assert len(endpoint.project.nova.servers) == 1


async def test_a_storm_of_refusals_opens_the_circuit(gateway, endpoint, monkeypatch) -> None:
    monkeypatch.setattr(pace, "FAILURES", 3)
    refuse(endpoint, "GET /servers/detail", Refused(503, "try later"))

    listings = [await gateway.observe("lab") for _ in range(6)]

    assert not any(listing.complete for listing in listings)
    assert len(endpoint.calls) < 6
    assert "left alone" in listings[-1].error


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, HTML, "text/html"),
        Answer(502, HTML, "text/html"),
        Answer(200, HTML, "application/json"),
        Answer(200, "{}"),
        Answer(200, "[]"),
        Answer(200, ""),
        Answer(200, '{"servers": null}'),
    ],
    ids=["page", "page of 502", "page that says it is JSON", "{}", "[]", "nothing", "null"],
)
async def test_what_is_no_answer_of_nova_is_no_empty_list(gateway, endpoint, answer) -> None:
    refuse(endpoint, "GET /servers/detail", answer)

    listing = await gateway.observe("lab")

    assert not listing.complete
    assert "check the address of the endpoint" in listing.error


@pytest.mark.parametrize("answer", [Answer(200, HTML, "text/html"), Answer(201, "{}")])
async def test_what_is_no_answer_of_keystone_is_no_token(endpoint, tmp_path, answer) -> None:
    refuse(endpoint, "POST /auth/tokens", answer)
    async with opened(endpoint.cloud("lab"), tmp_path) as gateway:
        listing = await gateway.observe("lab")

    assert "check the address of the endpoint" in listing.error


async def test_a_list_that_never_ends_is_given_up(gateway, endpoint) -> None:
    link = [{"rel": "next", "href": "http://127.0.0.1/servers/detail?marker=x"}]
    text = f'{{"servers": [], "servers_links": {str(link).replace(chr(39), chr(34))}}}'
    refuse(endpoint, "GET /servers/detail", Answer(200, text))

    listing = await gateway.observe("lab")

    assert not listing.complete
    assert len(endpoint.calls) == 2


async def test_an_endpoint_that_hangs_is_given_up(endpoint, tmp_path) -> None:
    released = threading.Event()

    def before(_: str) -> None:
        released.wait(30)

    endpoint.before = before
    try:
        async with opened(endpoint.cloud("lab", timeout=0.2), tmp_path) as gateway:
            listing = await gateway.observe("lab")
    finally:
        released.set()

    assert not listing.complete
    assert "timed out" in listing.error.lower()
