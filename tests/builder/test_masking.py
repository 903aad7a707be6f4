"""Secrets in a log: whoever prints them, however they are spelled, and wherever a write cuts them."""

import base64
import itertools
import json
import string
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.log import BuildLog
from builder.masking import MASK, MAX_KEY_LINES, PrivateKeys, masker, secret_patterns
from builder.text import MAX_LINE_BYTES, RAW_LINE_BYTES, LineReader
from tests.builder.test_log import Collected

SECRET = "s3cr3t-välue"


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        (f"token={SECRET};", "token=***;"),
        (f"{SECRET}{SECRET}", "******"),
        ("first line of key", "*** of key"),
        ("abc stays, being short", "abc stays, being short"),
        ("https://user:pa%20ss@host/p@th", "https://***@host/p@th"),
        ("git@host: and a@b stay", "git@host: and a@b stay"),
        ("redis://:pw@h:1 and s3://k@b", "redis://***@h:1 and s3://***@b"),
    ],
)
def test_secrets_are_masked(line: str, masked: str) -> None:
    mask = masker(secret_patterns([SECRET, "first line\r\nsecond line", "abc"]))
    assert mask(line) == masked


def test_a_longer_secret_is_masked_before_one_inside_it() -> None:
    assert masker(secret_patterns(["abcd", "abcdefgh"]))("xabcdefghx") == "x***x"


def test_a_secret_is_masked_across_writes_and_across_the_cut() -> None:
    patterns = secret_patterns([SECRET])
    encoded = SECRET.encode()
    reader = LineReader(masker(patterns), len(encoded))
    assert reader.feed(b"a " + encoded[:5]) + reader.feed(encoded[5:] + b" b\n") == ["a *** b"]
    long = b"x" * (MAX_LINE_BYTES - 4) + encoded + b"\n"
    (line,) = reader.feed(long)
    assert "s3cr" not in line
    long = b"x" * (RAW_LINE_BYTES - 4) + encoded + b"more\n"
    (line,) = reader.feed(long)
    assert "s3cr" not in line


# What somebody keeps secret: not words of a log, so any trace of one in it is a leak.
SECRETS = st.text(
    string.ascii_letters + string.digits + "+/=&%?#:@ \\\"'é😀-_.", min_size=10, max_size=60
).filter(lambda value: len(value.strip()) >= 10 and len(set(value)) > 5 and "://" not in value)
SPELLINGS = {
    "as it is": lambda value: value,
    "in a URL": quote,
    "in a part of a URL": lambda value: quote(value, safe=""),
    "in a form": quote_plus,
    "in JSON": lambda value: json.dumps(value, ensure_ascii=False),
    "twice in a URL": lambda value: quote(quote(value, safe=""), safe=""),
}


@pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS)
@given(value=SECRETS, data=st.data())
def test_a_secret_is_masked_in_every_spelling_and_wherever_it_is_cut(
    spelled: Callable[[str], str], value: str, data: st.DataObject
) -> None:
    printed = f"begin {spelled(value)} end\n".encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(printed)), max_size=4)))
    reader = LineReader(masker(secret_patterns([value])), 1000)
    lines = [
        line
        for start, end in itertools.pairwise([0, *cuts, len(printed)])
        for line in reader.feed(printed[start:end])
    ]
    assert MASK in lines[0]
    assert spelled(value).strip('"').strip() not in lines[0]
    assert len(lines[0]) <= len('begin "*** end" ') + 6


@given(before=st.binary(max_size=9), value=SECRETS, after=st.binary(max_size=9), urlsafe=st.booleans())
def test_a_secret_is_masked_in_base64_whatever_is_around_it(
    before: bytes, value: str, after: bytes, urlsafe: bool
) -> None:
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    printed = encode(before + value.encode() + after).decode()
    masked = masker(secret_patterns([value]))(printed)
    assert MASK in masked
    # All that is left of it is what stood around it, and the characters that it shared with that.
    assert len(masked) <= len(MASK) + (len(before) + len(after)) * 4 // 3 + 8


KEY = [
    "-----BEGIN OPENSSH PRIVATE KEY-----",
    "b3BlbnNzaC1rZXkt",
    "AAAAB3NzaC1yc2E=",
    "-----END OPENSSH PRIVATE KEY-----",
]


def test_a_private_key_is_masked_though_nobody_named_it() -> None:
    log = BuildLog(Collected(), first_seq=1, mask=masker([]))
    reader, other = log.reader(), log.reader()
    printed = "\n".join(["before", *KEY, "after", ""]).encode()
    lines = [line for byte in printed for line in reader.feed(bytes([byte]))]
    assert lines == ["before", *[MASK] * 4, "after"]
    assert other.feed(b"b3BlbnNzaC1rZXkt\n") == ["b3BlbnNzaC1rZXkt"]
    in_json = json.dumps({"key": "\n".join(KEY), "id": 1})
    assert reader.feed(in_json.encode() + b"\n") == ['{"key": "***", "id": 1}']


def test_a_key_that_never_ends_does_not_hide_the_rest_of_the_log() -> None:
    keys = PrivateKeys()
    lines = [keys.mask(line) for line in [KEY[0], *["x"] * MAX_KEY_LINES]]
    assert lines == [*[MASK] * MAX_KEY_LINES, "x"]


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("GET https://h/a?access_token=abc123&x=1", "GET https://h/a?access_token=***&x=1"),
        ("?X-Amz-Signature=abc&api_key=def#top", "?X-Amz-Signature=***&api_key=***#top"),
        ("?tokens=5 and token=stays", "?tokens=5 and token=stays"),
    ],
)
def test_a_token_in_the_query_of_a_url_is_masked(line: str, masked: str) -> None:
    assert masker([])(line) == masked
