"""Our signature of a GET is boto's."""

import time

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from scalemesh.artifacts.signing import GetSigner

KEYS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1, max_size=80)
URLS = [
    "http://127.0.0.1:9000/artifacts",
    "https://site.s3.eu-west-1.amazonaws.com",
    "https://s3.example.com:443/a/b",
    "http://[::1]:80/x",
    "https://[::1]:8443",
]


@given(
    key=KEYS,
    secret=st.text(max_size=40),
    token=st.sampled_from([None, "a-token+/="]),
    url=st.sampled_from(URLS),
)
def test_any_key_has_the_signature_that_boto_makes(
    key: str, secret: str, token: str | None, url: str
) -> None:
    credentials = ReadOnlyCredentials("AKIATEST", secret, token, None)
    signer = GetSigner(url, region="eu-west-1", service="s3")
    while True:
        began = int(time.time())
        line, *lines = signer.request(key, credentials).decode().split("\r\n")
        sent = dict(header.split(": ", 1) for header in lines[:-2])
        method, path, _ = line.split(" ")
        host = url.partition("//")[2].partition("/")[0]
        request = AWSRequest(method, f"{url.partition('//')[0]}//{host}{path}")
        S3SigV4Auth(credentials, "s3", "eu-west-1").add_auth(request)
        if int(time.time()) == began:
            break
    assert sent.pop("host") == host.removesuffix(":443").removesuffix(":80")
    assert sent == {name.lower(): value for name, value in request.headers.items()}
    assert lines[-2:] == ["", ""]


def test_a_new_second_and_new_credentials_are_signed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    signer = GetSigner("http://a/b", region="r", service="s3")
    first, second = (ReadOnlyCredentials("A", secret, None, None) for secret in "xy")
    monkeypatch.setattr("time.time", lambda: 1e9)
    one = signer.request("k", first)
    assert signer.request("k", first) == one
    assert signer.request("k", second) != one
    monkeypatch.setattr("time.time", lambda: 1e9 + 1)
    assert signer.request("k", first) != one
    assert b"20010909T014641Z" in signer.request("k", first)
