"""One S3 bucket: signed requests on a plain HTTP session, and boto's client for what is rare.

botocore finds credentials, region and address, and signs, which is a tenth of a millisecond. All that its
client does around a request is twenty times that. The builder has a file like this one, and no code of it.
What visitors wait for, a small object's reading, is nearer to the wire still (``signing``, ``wire``).
"""

import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random_exponential
from yarl import URL

from scalemesh.artifacts.signing import EMPTY_SHA256, GetSigner
from scalemesh.artifacts.wire import Wire

MAX_CONNECTIONS = 128
"""A connection is held for as long as a visitor takes to read a large file; past this many, calls queue."""

CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 10
"""Between two bytes. A reader whose consumer waits has stopped reading, and is not timed."""

ATTEMPTS = 2
RETRY_WAIT_S = 0.1
MAX_RETRY_WAIT_S = 1

ERRORS = (BotoCoreError, ClientError, aiohttp.ClientError, OSError)
"""Of the client and of signed requests. TimeoutError is an OSError."""

_ERROR_BYTES = 64 * 1024
_PASSING_CODES = frozenset({"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException"})
_UNSENT_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


@asynccontextmanager
async def open_bucket(
    name: str,
    *,
    endpoint_url: str | None,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    session: AioSession | None = None,
) -> AsyncIterator["Bucket"]:
    """The bucket called ``name``, which exists. What is not given is found as boto finds it."""
    session = session or get_session()
    if access_key_id is not None:
        session.set_credentials(access_key_id, secret_access_key)
    config = AioConfig(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        max_pool_connections=MAX_CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        # Other servers than AWS's do not all know the newer checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # bucket.{endpoint} does not resolve for most servers that are not AWS.
        s3={"addressing_style": "path"} if endpoint_url else {},
    )
    async with session.create_client("s3", endpoint_url=endpoint_url, config=config) as client:
        address = await _locate(client, name)
        proxy, tls = _proxy(address.url), _tls(session, address.url)
        wire = _wire(address.url, proxy, tls)
        async with _http(proxy, tls) as http:
            try:
                yield Bucket(name, address, session, client, http, wire)
            finally:
                if wire is not None:
                    wire.close()


@dataclass(frozen=True, slots=True)
class Address:
    """What precedes a key in a URL, and whom signatures are made for."""

    url: str
    region: str
    service: str


class Bucket:
    """``client`` is aiobotocore's, for what is not an object's reading or writing in one request."""

    def __init__(
        self,
        name: str,
        address: Address,
        session: AioSession,
        client: Any,
        http: aiohttp.ClientSession,
        wire: Wire | None,
    ) -> None:
        self.name = name
        self.address = address
        self.client = client
        self._session = session
        self._http = http
        self._wire = wire
        self._signer = GetSigner(address.url, region=address.region, service=address.service)

    async def fetch(self, key: str, *, max_bytes: int) -> bytes | None:
        """The object, where that is as simple as can be; None where ``request`` is to ask again.

        Raises ``TimeoutError`` or ``NoCredentialsError``.
        """
        if self._wire is None:
            return None
        head = self._signer.request(key, await self.credentials())
        return await self._wire.get(head, max_bytes=max_bytes)

    @retry(
        retry=retry_if_exception(lambda error: _may_pass(error)),
        wait=wait_random_exponential(RETRY_WAIT_S, MAX_RETRY_WAIT_S),
        stop=stop_after_attempt(ATTEMPTS),
        reraise=True,
    )
    async def request(
        self,
        method: str,
        key: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        content_sha256: str = EMPTY_SHA256,
    ) -> aiohttp.ClientResponse:
        """The answer of success, its body unread; the caller closes it. Any method may be tried again.

        Raises ``ClientError`` as boto's client does, with S3's code or, without one, the status; and the
        other ``ERRORS``. None of them shows a header: those hold the session's token.
        """
        url = f"{self.address.url}/{quote(key, safe='/~')}"
        signed = AWSRequest(method, url, headers)
        signed.context["sha256"] = content_sha256
        credentials = await self.credentials()
        _Signer(credentials, self.address.service, self.address.region).add_auth(signed)
        answer = await self._http.request(
            method,
            URL(url, encoded=True),
            data=BytesIO(content) if content else None,
            headers=dict(signed.headers.items()),
            allow_redirects=False,
        )
        if answer.status >= 300:
            async with answer:
                raise await _refusal(method, answer)
        return answer

    async def credentials(self) -> Any:
        """As they are now. Raises ``NoCredentialsError``."""
        credentials = await self._session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        return await credentials.get_frozen_credentials()


class _Signer(S3SigV4Auth):  # type: ignore[misc]
    """Hashes no body: a blob's hash is its name."""

    def payload(self, request: AWSRequest) -> str:
        return str(request.context["sha256"])


class _Located(Exception):
    def __init__(self, address: Address) -> None:
        self.address = address


async def _locate(client: Any, name: str) -> Address:
    """Where boto's own rules find the bucket, by endpoint, region, profile and name.

    They are run by making a request, which here ends before it is signed: nothing is contacted.
    """

    def end(request: AWSRequest, region_name: str, signing_name: str, **_: object) -> None:
        url = urlsplit(request.url)
        signing = request.context.get("signing", {})
        raise _Located(
            Address(
                url=f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}",
                region=signing.get("region", region_name),
                service=signing.get("signing_name", signing_name),
            )
        )

    event = "before-sign.s3.HeadBucket"
    client.meta.events.register(event, end)
    try:
        await client.head_bucket(Bucket=name)
    except _Located as located:
        return located.address
    finally:
        client.meta.events.unregister(event, end)
    raise AssertionError("boto has sent what was not signed")


def _http(proxy: str | None, tls: ssl.SSLContext | None) -> aiohttp.ClientSession:
    """With the bounds, proxy and certificates that boto's client has."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, ssl=tls or True),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=READ_TIMEOUT_S),
        proxy=proxy,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=_UNSENT_HEADERS,
        auto_decompress=False,
    )


def _wire(url: str, proxy: str | None, tls: ssl.SSLContext | None) -> Wire | None:
    """None where a proxy is in between."""
    parts = urlsplit(url)
    if proxy is not None or parts.hostname is None:
        return None
    return Wire(
        parts.hostname,
        parts.port or (443 if parts.scheme == "https" else 80),
        tls,
        connect_timeout_s=CONNECT_TIMEOUT_S,
        read_timeout_s=READ_TIMEOUT_S,
    )


def _proxy(url: str) -> str | None:
    proxy: str | None = get_environ_proxies(url).get(urlsplit(url).scheme)
    return proxy


def _tls(session: AioSession, url: str) -> ssl.SSLContext | None:
    if urlsplit(url).scheme != "https":
        return None
    certificates = get_cert_path(session.get_config_variable("ca_bundle") or True)
    return ssl.create_default_context(cafile=certificates)


async def _refusal(method: str, answer: aiohttp.ClientResponse) -> ClientError:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > _ERROR_BYTES:
            break
    code = _element("Code", body) or str(answer.status)
    message = _element("Message", body) or answer.reason or ""
    if region := answer.headers.get("x-amz-bucket-region"):
        message += f" (the bucket is in {region})"
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": answer.status}},
        method,
    )


def _element(name: str, xml: bytearray) -> str:
    """One of the few things wanted of S3's errors, or of those of a proxy, which may not be XML at all."""
    found = re.search(rb"<%b>([^<]{1,300})</" % name.encode(), xml)
    return found[1].decode(errors="replace") if found else ""


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, ClientError):
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return status == 429 or status >= 500 or error.response["Error"]["Code"] in _PASSING_CODES
    return isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError | TimeoutError)
