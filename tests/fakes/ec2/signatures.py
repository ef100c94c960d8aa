"""Whether a request was signed as AWS asks (Signature Version 4), by whoever should have."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from fakes.ec2.refusals import Refused

_SAID = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/ec2/aws4_request, "
    r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})"
)
SKEW = timedelta(minutes=5)


def verify(headers: Mapping[str, str], body: bytes, key: str, secret: str, now: datetime) -> None:
    """Raises Refused."""
    said = _SAID.fullmatch(headers.get("authorization", ""))
    if said is None:
        raise Refused("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
    access, day, region, names, signature = said.groups()
    if access != key:
        raise Refused("AuthFailure", "AWS was not able to validate the provided credentials", 401)
    stamp = headers["x-amz-date"]
    at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if abs(now - at) > SKEW:
        raise Refused("RequestExpired", f"Request has expired. Timestamp date is {stamp}", 400)
    lines = [f"{name}:{headers[name].strip()}\n" for name in names.split(";")]
    request = ["POST", "/", "", "".join(lines), names, hashlib.sha256(body).hexdigest()]
    scope = f"{day}/{region}/ec2/aws4_request"
    hashed = hashlib.sha256("\n".join(request).encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashed}"
    step = f"AWS4{secret}".encode()
    for word in (day, region, "ec2", "aws4_request"):
        step = hmac.digest(step, word.encode(), "sha256")
    if not hmac.compare_digest(hmac.digest(step, text.encode(), "sha256").hex(), signature):
        words = "The request signature we calculated does not match the signature you provided"
        raise Refused("SignatureDoesNotMatch", words, 403)
