"""Every route that reads JSON, against every kind of body that isn't the JSON it wants."""

import asyncio
import gzip
import json

import pytest

from scalemesh.web.routes import ROUTES
from tests.parts.server import Answer, Client

# These take their whole meaning from the path, or from a form alone.
_WITHOUT_BODY = ("/user/logout", "/cancel", "/promote", "/delete")
READERS = [
    (route.method, route.path)
    for route in ROUTES
    if route.method in ("POST", "PATCH") and not route.path.endswith(_WITHOUT_BODY)
]

MALFORMED = {
    "deep nesting": b"[" * 60_000,
    "a huge number": b'{"name": ' + b"9" * 5000 + b"}",
    "invalid UTF-8": b'{"name": "\xff\xfe"}',
    "NaN": b'{"name": NaN}',
    "Infinity": b'{"name": -Infinity}',
    "duplicate names": b'{"name": "a", "name": "b"}',
    "a lone surrogate": b'{"name": "\\ud800"}',
    "NUL": b'{"name": "a\\u0000b"}',
    "NUL in a name": b'{"a\\u0000b": 1}',
    "NUL below": b'{"env": {"A": ["a\\u0000b"]}}',
    "an array": b'[{"name": "a"}]',
    "a string": b'"name"',
    "nothing": b"",
    "half an object": b'{"name": "a"',
    "two objects": b"{}{}",
}


async def path_for(user: Client, path: str) -> str:
    if "{projectID}" not in path:
        return path
    project = await user.project("http://127.0.0.1:9/x.git")
    return path.replace("{projectID}", project["projectID"])


def assert_is_told(answer: Answer, status: int, code: str) -> None:
    assert answer.status == status, answer.text
    assert answer.json["code"] == code
    assert answer.json["error"].endswith((".", "!"))
    for leak in ("Traceback", "SELECT", "/site-packages", "postgres", "asyncpg"):
        assert leak not in answer.text


@pytest.mark.parametrize(("method", "path"), READERS)
async def test_a_malformed_body_is_a_400_that_says_so(user: Client, method: str, path: str) -> None:
    path = await path_for(user, path)
    for name, body in MALFORMED.items():
        answer = await user.request(method, path, data=body, headers={"Content-Type": "application/json"})
        assert answer.status == 400, (name, answer.text)
        assert_is_told(answer, 400, "malformed_request")


@pytest.mark.parametrize(("method", "path"), READERS)
async def test_a_body_over_64_kib_is_a_413_also_when_it_is_compressed(
    user: Client, method: str, path: str
) -> None:
    path = await path_for(user, path)
    body = b'{"name": "' + b"x" * 70_000 + b'"}'
    headers = {"Content-Type": "application/json"}
    plain = await user.request(method, path, data=body, headers=headers)
    squeezed = await user.request(
        method, path, data=gzip.compress(body), headers={**headers, "Content-Encoding": "gzip"}
    )
    assert_is_told(plain, 413, "body_too_large")
    assert_is_told(squeezed, 413, "body_too_large")


@pytest.mark.parametrize(("method", "path"), READERS)
async def test_json_under_another_type_or_charset_is_refused(user: Client, method: str, path: str) -> None:
    path = await path_for(user, path)
    text = await user.request(method, path, data=b"{}", headers={"Content-Type": "text/plain"})
    assert_is_told(text, 415, "unsupported_media_type")
    charset = {"Content-Type": "application/json; charset=nope"}
    assert_is_told(await user.request(method, path, data=b"{}", headers=charset), 400, "malformed_request")
    lied = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert_is_told(await user.request(method, path, data=b"no gzip", headers=lied), 400, "malformed_request")


@pytest.mark.parametrize(
    ("method", "path"),
    [(route.method, route.path) for route in ROUTES if route.method not in ("GET", "HEAD")],
)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://my-site.localhost:{port}"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_write_that_another_origin_started_is_refused(
    user: Client, method: str, path: str, headers: dict[str, str]
) -> None:
    sent = {name: value.replace("{port}", str(user.port)) for name, value in headers.items()}
    answer = await user.request(method, path.replace("{", "").replace("}", ""), json={}, headers=sent)
    assert_is_told(answer, 403, "foreign_origin")
    assert (await user.get("/user/me")).status == 200


async def test_a_body_that_comes_a_byte_at_a_time_is_closed(user: Client) -> None:
    """Waits for the body's time limit, 6 s, and for aiohttp to stop reading, 2 s."""
    reader, writer = await asyncio.open_connection("127.0.0.1", user.port)
    writer.write(
        b"POST /user/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100\r\n\r\n{"
    )
    try:
        async with asyncio.timeout(60):
            answer = await reader.read()
    finally:
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["code"] == "request_timeout"


async def test_unknown_fields_are_ignored_and_wrong_ones_are_named_together(visitor: Client) -> None:
    answer = await visitor.post(
        "/user/signup", {"name": "", "email": "x", "password": "short", "role": "admin", "id": 1}
    )
    assert_is_told(answer, 422, "invalid_input")
    assert set(answer.json["fields"]) == {"name", "email", "password"}
    wrong_types = await visitor.post("/user/signup", {"name": 1, "email": None, "password": ["x"]})
    assert set(wrong_types.json["fields"]) == {"name", "email", "password"}
