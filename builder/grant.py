"""What this build may do in the bucket without a key of its own: UPLOAD_GRANT, as the server wrote it."""

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

MAX_GRANT_BYTES = 256 * 1024
"""Unpacked. A policy and a dozen addresses with a role's token in each are some 30 KiB."""


@dataclass(frozen=True, slots=True)
class Grant:
    """``post_fields`` go before each upload's content; ``readable`` has an address for each key."""

    post_url: str
    post_fields: Mapping[str, str]
    readable: Mapping[str, str]


def parse_grant(text: str) -> Grant:
    """Raises ValueError."""
    try:
        unpacker = zlib.decompressobj()
        unpacked = unpacker.decompress(base64.urlsafe_b64decode(text), MAX_GRANT_BYTES)
        if not unpacker.eof:
            raise ValueError("a grant that is too long, or cut off")
        grant = json.loads(unpacked)
        post = grant["post"]
        fields = {**post["fields"], "policy": base64.b64encode(post["policy"].encode()).decode()}
        return Grant(post["url"], fields, dict(grant["get"]))
    except (binascii.Error, zlib.error, KeyError, TypeError, AttributeError) as error:
        raise ValueError("not a grant") from error
