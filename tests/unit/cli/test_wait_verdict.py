from dataclasses import replace

from fakes.controller import BUSY, END, deployment, everything, instance, stalled
from headwater.cli.wait import Watch
from headwater.planning.status import ControllerStatus, DeploymentStatus, Phase

A, B, C = "a" * 40, "b" * 40, "c" * 40


def at(revision: str, status: DeploymentStatus | None = None) -> ControllerStatus:
    return everything(*(() if status is None else (status,)), revision=revision)


def ready(revision: str) -> DeploymentStatus:
    return deployment(revision=revision)


def busy(revision: str) -> DeploymentStatus:
    return deployment(phase=Phase.EXECUTING, conditions=BUSY, revision=revision)


def failed(revision: str) -> DeploymentStatus:
    states = (instance("wn.1", "failed", "exit 7"),)
    return deployment(
        phase=Phase.ABORTED, conditions=stalled("exit 7"), instances=states, revision=revision
    )


def verdicts(watch: Watch, *statuses: ControllerStatus) -> list[bool | None]:
    return [watch.look(status, END)[0] for status in statuses]


def test_without_a_revision_the_present_state_decides():
    assert verdicts(Watch("hello", ""), at(A, busy(A)), at(A, ready(A))) == [None, True]
    assert verdicts(Watch("hello", ""), at(A, failed(A))) == [False]


def test_ready_or_failed_at_an_earlier_revision_decides_nothing():
    watch = Watch("hello", B[:7])

    assert verdicts(
        watch, at(A, failed(A)), at(A, ready(A)), at(B, ready(A)), at(B, busy(B)), at(B, ready(B))
    ) == [None, None, None, None, True]


def test_a_later_revision_counts_once_the_awaited_one_was_seen():
    watch = Watch("hello", B)

    assert verdicts(watch, at(A, ready(A)), at(B, ready(A)), at(C, ready(C))) == [None, None, True]


def test_an_unknown_deployment_fails_once_its_revision_is_read():
    unread = replace(at(""), source_error="no route to host")

    assert Watch("hello", "").look(unread, END) == (None, "no route to host")
    assert verdicts(Watch("hello", ""), at(A)) == [False]
    assert verdicts(Watch("hello", B), at(A), at(B)) == [None, False]


def test_a_deployment_that_no_pass_has_looked_at_yet_decides_nothing():
    unseen = deployment(phase=Phase.INITIALIZING, conditions=(), revision="")

    assert verdicts(Watch("hello", ""), at(A, unseen), at(A, ready(A))) == [None, True]
    assert verdicts(Watch("hello", A), at(A, unseen), at(A, ready(A))) == [None, True]


def test_a_near_miss_is_suggested():
    _, said = Watch("helo", "").look(at(A, ready(A)), END)

    assert said == "no such deployment at revision aaaaaaa; did you mean 'hello'?"


def test_what_has_expired_is_not_ready_once_it_is_gone():
    expired = replace(deployment(phase=Phase.DONE, conditions=()), verdict="expired")
    going = replace(expired, phase=Phase.FINALIZING)

    assert verdicts(Watch("hello", ""), at(A, going), at(A, expired)) == [None, False]
