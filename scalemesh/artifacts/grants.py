"""What a builder without keys may do in the bucket: write below one project's prefix, read a few objects.

A presigned POST and some presigned GETs (AWS: "Authenticating requests: browser-based uploads using POST",
"Authenticating requests: using query parameters"). They are signed here, without a request, and end by
themselves. ``docs/builder-contract.md`` has the form; ``builder/grant.py`` is its reader.
"""

import base64
import json
import zlib
from collections.abc import Collection
from datetime import datetime, timedelta
from urllib.parse import quote

from botocore.auth import S3SigV4PostAuth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest

from scalemesh.artifacts.bucket import Address, Bucket

GRACE = timedelta(seconds=30)
"""After the build's deadline: a builder that was stopped by it still writes its log."""

MAX_OBJECT_BYTES = 1024**3
"""Of one object: the largest archive of a builder's caches; files of sites are smaller."""


async def make_grant(
    bucket: Bucket, *, prefix: str, readable: Collection[str], now: datetime, deadline: datetime
) -> str:
    """The builder contract's UPLOAD_GRANT: write what begins with ``prefix``, read ``readable``.

    It ends ``GRACE`` after ``deadline``, or with the session of the server's own role where that is earlier.
    Raises what boto does where there are no credentials.
    """
    credentials = await bucket.credentials()
    ends = deadline + GRACE
    address = bucket.address
    grant = {
        "post": _post(credentials, address, bucket.name, prefix, ends),
        "get": {
            key: _presigned(credentials, address, key, seconds=max(1, int((ends - now).total_seconds())))
            for key in readable
        },
    }
    # A role's token is a thousand characters and in each of these; ECS takes 8 KiB for a whole build.
    text = json.dumps(grant, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(zlib.compress(text, 9)).decode()


def _post(
    credentials: object, address: Address, bucket: str, prefix: str, ends: datetime
) -> dict[str, object]:
    """``policy`` is plain: its base64 is the builder's to make, and would not compress."""
    request = AWSRequest("POST", address.url)
    fields: dict[str, str] = {}
    policy = {
        "expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "conditions": [
            {"bucket": bucket},
            ["starts-with", "$key", prefix],
            ["starts-with", "$Content-Type", ""],
            ["content-length-range", 0, MAX_OBJECT_BYTES],
        ],
    }
    request.context["s3-presign-post-fields"] = fields
    request.context["s3-presign-post-policy"] = policy
    S3SigV4PostAuth(credentials, address.service, address.region).add_auth(request)
    signed = dict(request.context["s3-presign-post-fields"])
    return {
        "url": address.url,
        "policy": base64.b64decode(signed.pop("policy")).decode(),
        "fields": signed,
    }


def _presigned(credentials: object, address: Address, key: str, *, seconds: int) -> str:
    request = AWSRequest("GET", f"{address.url}/{quote(key, safe='/~')}")
    S3SigV4QueryAuth(credentials, address.service, address.region, expires=seconds).add_auth(request)
    return str(request.url)
