"""Whether a client's copy is still good: ETag, Last-Modified and the headers that ask about them."""

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

_ENTITY_TAG = re.compile(r'(?:W/)?"([^"]*)"')


def make_etag(sha256: str) -> str:
    """A strong entity tag. ``sha256`` is of the bytes that are sent, so each encoding has its own.

    128 bits of it: nobody can make two files that meet in those, and it is in every request and answer.
    """
    return f'"{sha256[:32]}"'


@lru_cache(maxsize=1024)  # a site's files have one date
def make_last_modified(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC).replace(microsecond=0), usegmt=True)


def is_unchanged(etag: str, last_modified: str, *, if_none_match: str, if_modified_since: str) -> bool:
    """True if the answer to a GET or HEAD is 304. A header the client did not send is ``""``.

    ``If-None-Match`` decides alone where it is there (RFC 9110 13.2.2), by weak comparison.
    """
    if if_none_match:
        return if_none_match.strip() == "*" or etag.strip('"') in _ENTITY_TAG.findall(if_none_match)
    # Equal, not older: a rollback makes a site's date go back, and a copy of the newer one is no good then.
    # nginx compares the same way (`if_modified_since exact`). Clients repeat the date as they got it.
    return if_modified_since == last_modified


def is_same_for_range(etag: str, last_modified: str, if_range: str) -> bool:
    """True if the part a client has is of these very bytes: a strong comparison, RFC 9110 13.1.5."""
    return if_range in ("", etag, last_modified)
