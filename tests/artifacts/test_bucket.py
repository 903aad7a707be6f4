"""Signed requests, of the server's bucket and of the builder's, which are two pieces of like code."""

import asyncio
import hashlib
import logging
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from botocore.exceptions import ClientError, NoCredentialsError

import builder.bucket
import scalemesh.artifacts.bucket
from tests.artifacts.s3_server import S3Server
from tests.parts.scripted_s3 import DROP, scripted_s3

KEY, SECRET, TOKEN = "AKIATEST", "very-secret-key", "very-secret-token"

Opened = builder.bucket.Bucket | scalemesh.artifacts.bucket.Bucket
Open = Callable[[str, str | None], AbstractAsyncContextManager[Opened]]


@asynccontextmanager
async def open_of_server(name: str, endpoint_url: str | None) -> AsyncIterator[Opened]:
    async with scalemesh.artifacts.bucket.open_bucket(
        name, endpoint_url=endpoint_url, access_key_id=None, secret_access_key=None
    ) as bucket:
        yield bucket


@pytest.fixture(params=[open_of_server, builder.bucket.open_bucket], ids=["server", "builder"])
def open_bucket(request: pytest.FixtureRequest) -> Open:
    opener: Open = request.param
    return opener


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.parametrize(
    "trouble", [(500, "InternalError"), (503, "SlowDown"), (429, ""), (400, "RequestTimeout"), DROP]
)
async def test_what_may_pass_is_tried_again(open_bucket: Open, trouble: tuple[int, str] | str) -> None:
    async with scripted_s3([trouble]) as s3, open_bucket("artifacts", s3.endpoint_url) as bucket:
        content_sha256 = hashlib.sha256(b"blob").hexdigest()
        answer = await bucket.request("PUT", "a", content=b"blob", content_sha256=content_sha256)
        answer.release()
    assert [(asked.method, asked.path, asked.body) for asked in s3.asked] == [
        ("PUT", "/artifacts/a", b"blob")
    ] * 2
    assert s3.asked[0].headers["x-amz-content-sha256"] == content_sha256


async def test_it_is_not_tried_for_ever(open_bucket: Open) -> None:
    async with (
        scripted_s3([(503, "SlowDown")] * 9) as s3,
        open_bucket("artifacts", s3.endpoint_url) as bucket,
    ):
        with pytest.raises(ClientError, match="SlowDown"):
            await bucket.request("GET", "a")
    assert 2 <= len(s3.asked) <= 5


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "AccessDenied"),
        (404, "NoSuchKey"),
        (416, "InvalidRange"),
        (301, "PermanentRedirect"),
        (400, "BadDigest"),
    ],
)
async def test_a_refusal_is_final_and_has_its_code(open_bucket: Open, status: int, code: str) -> None:
    async with scripted_s3([(status, code)]) as s3, open_bucket("artifacts", s3.endpoint_url) as bucket:
        with pytest.raises(ClientError, match="Said the test") as raised:
            await bucket.request("GET", "a")
    assert raised.value.response["Error"]["Code"] == code
    assert len(s3.asked) == 1


async def test_no_error_and_no_log_shows_a_secret(
    open_bucket: Open, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    said = []
    async with (
        scripted_s3([(403, "AccessDenied")]) as s3,
        open_bucket("artifacts", s3.endpoint_url) as bucket,
    ):
        with pytest.raises(ClientError) as refused:
            await bucket.request("GET", "a")
        said.append(refused.value)
    async with garbled_server() as url, open_bucket("artifacts", url) as bucket:
        with pytest.raises(aiohttp.ClientError) as garbled:
            await bucket.request("GET", "a")
        said.append(garbled.value)
    assert s3.asked[0].headers["x-amz-security-token"] == TOKEN
    everything = caplog.text + "".join(line for error in said for line in traceback.format_exception(error))
    for secret in (SECRET, TOKEN, "Signature="):
        assert secret not in everything


@asynccontextmanager
async def garbled_server() -> AsyncIterator[str]:
    """Its answers are no HTTP, at which aiohttp's error carries the request's headers."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SMTP 220 hello\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_no_credentials_are_told_at_the_first_request(
    open_bucket: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    async with scripted_s3() as s3, open_bucket("artifacts", s3.endpoint_url) as bucket:
        with pytest.raises(NoCredentialsError):
            await bucket.request("GET", "a")
    assert s3.asked == []


async def test_credentials_of_a_task_role_are_refreshed(
    open_bucket: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []

    async def role(_: web.Request) -> web.Response:
        given.append(f"token-{len(given)}")
        expires = datetime.now(UTC) + timedelta(minutes=1)  # so soon that each request has to ask anew
        return web.json_response(
            {
                "AccessKeyId": KEY,
                "SecretAccessKey": SECRET,
                "Token": given[-1],
                "Expiration": expires.isoformat(timespec="seconds").replace("+00:00", "Z"),
            }
        )

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    async with metadata_server(role) as url, scripted_s3() as s3:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        async with open_bucket("artifacts", s3.endpoint_url) as bucket:
            for _ in range(3):
                (await bucket.request("GET", "a")).release()
    tokens = [asked.headers["x-amz-security-token"] for asked in s3.asked]
    assert len(set(tokens)) == 3
    assert tokens[-1] == given[-1]


@asynccontextmanager
async def metadata_server(handler: Callable[[web.Request], Any]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/role", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/role"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("name", "endpoint_url", "environment", "url", "region"),
    [
        (
            "site",
            None,
            {"AWS_DEFAULT_REGION": "eu-west-1"},
            "https://site.s3.eu-west-1.amazonaws.com",
            "eu-west-1",
        ),
        (
            "a.site",
            None,
            {"AWS_DEFAULT_REGION": "eu-west-1"},
            "https://s3.eu-west-1.amazonaws.com/a.site",
            "eu-west-1",
        ),
        ("site", None, {}, "https://site.s3.amazonaws.com", "us-east-1"),
        ("site", "https://s3.example.com", {}, "https://s3.example.com/site", "us-east-1"),
        ("site", "https://example.com/s3/", {}, "https://example.com/s3/site", "us-east-1"),
        ("site", None, {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "http://127.0.0.1:9/site", "us-east-1"),
        ("site", None, {"AWS_PROFILE": "other"}, "https://site.s3.eu-north-1.amazonaws.com", "eu-north-1"),
    ],
    ids=["region", "dots", "nothing", "endpoint", "endpoint-with-path", "endpoint-variable", "profile"],
)
async def test_a_bucket_is_where_boto_finds_it(
    open_bucket: Open,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    endpoint_url: str | None,
    environment: dict[str, str],
    url: str,
    region: str,
) -> None:
    (tmp_path / "config").write_text("[profile other]\nregion = eu-north-1\n")
    for variable in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    async with open_bucket(name, endpoint_url) as bucket:
        address = bucket.address
    assert (address.url, address.region, address.service) == (url, region, "s3")


@pytest.mark.parametrize("key", ["a b+c", "ä/ö~(1)'!*.txt", "a%2Fb%", "a?b=c&d#e"])
async def test_any_key_is_signed_as_it_is_sent(
    open_bucket: Open, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_access_key)
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    async with open_bucket(s3_server.bucket, s3_server.endpoint_url) as bucket:
        with pytest.raises(ClientError, match="NoSuchKey"):
            await bucket.request("GET", f"{key}-none")
        content_sha256 = hashlib.sha256(b"x").hexdigest()
        (await bucket.request("PUT", key, content=b"x", content_sha256=content_sha256)).release()
        there = await bucket.client.get_object(Bucket=s3_server.bucket, Key=key)
        assert await there["Body"].read() == b"x"
        (await bucket.request("DELETE", key)).release()
        with pytest.raises(ClientError, match="404"):
            await bucket.request("HEAD", key)


async def test_a_wrong_secret_is_refused(
    open_bucket: Open, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key_id)
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    async with open_bucket(s3_server.bucket, s3_server.endpoint_url) as bucket:
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            await bucket.request("GET", "a")
