"""One S3 bucket: signed requests on a plain HTTP session, and boto's client for what is rare.

botocore finds credentials, region and address. All that its client does around a request is two milliseconds
of a processor. The server has a file like this one, and no code of it.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from typing import Any
from urllib.parse import quote, urlsplit

import aioboto3
import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from boto3.exceptions import Boto3Error
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies
from yarl import URL

from builder.retries import ATTEMPTS, until_it_passes
from builder.sigv4 import Credentials, Signer

CONNECTIONS = 32
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 30
"""Between two bytes of an answer."""

ATTEMPT_TIMEOUT_S = 120
"""Until an answer's head, with the body's way there: the largest blob at 2 Mbit/s."""

ERRORS = (BotoCoreError, ClientError, Boto3Error, aiohttp.ClientError, OSError)
"""Of the client, of its transfers (Boto3Error), and of signed requests. TimeoutError is an OSError."""

EMPTY_SHA256 = sha256().hexdigest()

_ERROR_BYTES = 64 * 1024
_PASSING_CODES = frozenset({"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException"})
_UNSENT_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


@asynccontextmanager
async def open_bucket(name: str, endpoint_url: str | None) -> AsyncIterator["Bucket"]:
    """The bucket called ``name``, which exists. Credentials, region and profile are boto's to find."""
    session = get_session()
    config = AioConfig(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        max_pool_connections=CONNECTIONS,
        retries={"mode": "standard", "max_attempts": ATTEMPTS},
        # Other servers than AWS's do not all know the newer checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # bucket.{endpoint} does not resolve for most servers that are not AWS.
        s3={"addressing_style": "path"} if endpoint_url else {},
    )
    boto = aioboto3.Session(botocore_session=session)
    async with boto.client("s3", endpoint_url=endpoint_url, config=config) as client:
        address = await _locate(client, name)
        async with _http(session, address.url) as http:
            yield Bucket(name, address, session, client, http)


@dataclass(frozen=True, slots=True)
class Address:
    """What precedes a key in a URL, and whom signatures are made for."""

    url: str
    region: str
    service: str


class Bucket:
    """``client`` is aioboto3's, for what is not an object's reading or writing in one request."""

    def __init__(
        self, name: str, address: Address, session: AioSession, client: Any, http: aiohttp.ClientSession
    ) -> None:
        self.name = name
        self.address = address
        self.client = client
        self._session = session
        self._http = http
        url = urlsplit(address.url)
        self._origin, self._path = f"{url.scheme}://{url.netloc}", url.path
        self._signer = Signer(url.netloc, region=address.region, service=address.service)

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
        path = f"{self._path}/{quote(key, safe='/~')}"
        return await until_it_passes(
            lambda: self._send(method, path, headers or {}, content, content_sha256), _may_pass
        )

    async def _send(
        self, method: str, path: str, headers: Mapping[str, str], content: bytes, content_sha256: str
    ) -> aiohttp.ClientResponse:
        credentials = await self._credentials()
        signed = self._signer.sign(
            method, path, headers, content_sha256, credentials=credentials, now=datetime.now(UTC)
        )
        async with asyncio.timeout(ATTEMPT_TIMEOUT_S):
            answer = await self._http.request(
                method,
                URL(self._origin + path, encoded=True),
                data=BytesIO(content) if content else None,
                headers=signed,
                allow_redirects=False,
            )
        if answer.status >= 300:
            async with answer:
                raise await _refusal(method, answer)
        return answer

    async def _credentials(self) -> Credentials:
        credentials = await self._session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        frozen: Credentials = await credentials.get_frozen_credentials()
        return frozen


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


def _http(session: AioSession, url: str) -> aiohttp.ClientSession:
    """With the bounds, proxy and certificates that boto's client has."""
    scheme = urlsplit(url).scheme
    certificates = get_cert_path(session.get_config_variable("ca_bundle") or True)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=CONNECTIONS,
            ssl=ssl.create_default_context(cafile=certificates) if scheme == "https" else True,
        ),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=READ_TIMEOUT_S),
        proxy=get_environ_proxies(url).get(scheme),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=_UNSENT_HEADERS,
        auto_decompress=False,
    )


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
