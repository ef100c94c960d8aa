import pytest
from libcloud.common.exceptions import BaseHTTPError, RateLimitReachedError
from libcloud.common.types import InvalidCredsError, LibcloudError

from headwater.cloud.faults import classify
from headwater.errors import HeadwaterError, QuotaExceeded, Stalled, Throttled, Transient


def http(code: int, text: str = "words") -> BaseHTTPError:
    return BaseHTTPError(code, text)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("driver", "error", "consequence"),
    [
        ("local", http(400, "level machine is not possible"), Stalled),
        ("local", http(404), Stalled),
        ("local", http(507, "the disk is full"), QuotaExceeded),
        ("local", http(503), Transient),
        ("local", ConnectionRefusedError("no"), Transient),
        ("any", http(409, "busy"), Transient),
        ("any", http(429), Throttled),
        ("any", http(403, "quota of 10 reached"), QuotaExceeded),
        ("any", TimeoutError(), Transient),
        ("any", LibcloudError("odd"), Transient),
        ("any", InvalidCredsError(), Stalled),
        ("ec2", http(503, "RequestLimitExceeded: slow down"), Throttled),
        ("ec2", http(400, "InstanceLimitExceeded: 20"), QuotaExceeded),
        ("ec2", http(400, "VcpuLimitExceeded: 20"), QuotaExceeded),
        ("ec2", http(500, "InsufficientInstanceCapacity"), Transient),
        ("ec2", http(400, "IncorrectInstanceState: it is stopping"), Transient),
        ("ec2", http(400, "InsufficientFreeAddressesInSubnet: none left"), QuotaExceeded),
        ("ec2", http(400, "RequestExpired: Request has expired"), Transient),
        ("ec2", InvalidCredsError("SignatureDoesNotMatch: Signature expired"), Transient),
        ("ec2", InvalidCredsError("AuthFailure: not validated"), Stalled),
        ("ec2", http(403, "UnauthorizedOperation: not you"), Stalled),
        ("ec2", Exception("InvalidAMIID.NotFound: ami-1"), Stalled),
        ("openstack", http(403, "Quota exceeded for cores"), QuotaExceeded),
        ("openstack", http(409, "Quota exceeded for resources: ['floatingip']."), QuotaExceeded),
        ("openstack", http(409, "No more IP addresses available on network x"), QuotaExceeded),
        ("openstack", http(409, "Instance is in task_state deleting"), Transient),
        ("openstack", http(400, "Invalid key_name provided."), Stalled),
        ("gce", Exception("QUOTA_EXCEEDED"), QuotaExceeded),
    ],
)
def test_an_error_is_told_by_what_happens_next(
    driver: str, error: Exception, consequence: type[HeadwaterError]
) -> None:
    answer = classify(error, driver, "cloud 'lab'")

    assert type(answer) is consequence
    assert str(answer).startswith("cloud 'lab': ")


def test_the_cloud_says_when_to_come_back() -> None:
    error = RateLimitReachedError(headers={"retry-after": "7"})  # type: ignore[no-untyped-call]

    answer = classify(error, "any", "cloud 'lab'")

    assert isinstance(answer, Throttled)
    assert answer.retry_after == 7


@pytest.mark.parametrize("code", [413, 503])
def test_whoever_says_when_to_come_back_is_only_busy(code: int) -> None:
    error = BaseHTTPError(code, "busy", {"retry-after": "7"})  # type: ignore[no-untyped-call]

    answer = classify(error, "any", "cloud 'lab'")

    assert isinstance(answer, Throttled)
    assert answer.retry_after == 7


@pytest.mark.parametrize("code", [403, 413])
def test_a_quota_that_is_full_does_not_pass_by_waiting(code: int) -> None:
    error = BaseHTTPError(code, "Quota exceeded", {"retry-after": "0"})  # type: ignore[no-untyped-call]

    assert isinstance(classify(error, "openstack", "cloud 'lab'"), QuotaExceeded)


def test_an_error_of_ours_is_passed_on() -> None:
    error = Stalled("as it is")

    assert classify(error, "any", "cloud 'lab'") is error


@pytest.mark.parametrize(
    "text",
    [
        "GET https://ada:geheim@api.example.org/v2 failed",
        "bad request: AccessKey=geheim&x=1",
        "Authorization: geheim",
        "password = geheim",
        "secret_key: geheim",
    ],
)
def test_credentials_are_not_told(text: str) -> None:
    assert "geheim" not in str(classify(Exception(text), "any", "cloud 'lab'"))


def test_long_answers_are_cut() -> None:
    assert len(str(classify(Exception("x" * 10_000), "any", "cloud 'lab'"))) < 400
