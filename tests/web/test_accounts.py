"""Sign-up, log-in, log-out and passwords."""

import asyncio

import pytest
from multidict import CIMultiDict

from tests.parts.server import PASSWORD, Client, Server, StartServer


async def test_signing_up_logs_in_and_tells_who_it_is(visitor: Client) -> None:
    assert (await visitor.get("/user/me")).status == 401
    answer = await visitor.post(
        "/user/signup",
        {"name": " Ada ", "email": "ada.l@Example.com", "password": PASSWORD, "role": "admin", "id": 1},
    )
    assert answer.status == 201
    assert set(answer.json) == {"id", "name", "email"}
    assert (answer.json["name"], answer.json["email"]) == ("Ada", "ada.l@example.com")
    assert (await visitor.get("/user/me")).json == answer.json


async def test_the_cookie_is_for_our_host_and_our_pages_alone(visitor: Client) -> None:
    await visitor.sign_up()
    answer = await visitor.post("/user/login", {"email": "x@example.com", "password": PASSWORD})
    assert "Set-Cookie" not in answer.headers
    cookie = next(iter(visitor.session.cookie_jar))
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert cookie["domain"] in ("", "localhost")


async def test_one_email_in_two_spellings_is_one_account_also_under_a_race(server: Server) -> None:
    emails = ["race@example.com", "RACE@example.com", "ｒａｃｅ@example.com"]

    async def sign_up(email: str) -> int:
        async with server.visitor() as visitor:
            body = {"name": "Ada", "email": email, "password": PASSWORD}
            answer = await visitor.post("/user/signup", body)
            assert answer.status == 201 or answer.json["fields"]["email"]
            return answer.status

    assert sorted(await asyncio.gather(*map(sign_up, emails))) == [201, 409, 409]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "a" * 250 + "@example.com"),
        ("email", "a@example.com\r\nBcc: b@example.com"),
        ("email", "a b@example.com"),
        ("password", "1234567"),
        ("password", "x" * 1025),
        ("name", "  "),
        ("name", "x" * 65),
        ("name", "a\nb"),
    ],
)
async def test_what_cannot_be_an_account_is_refused_by_field(visitor: Client, field: str, value: str) -> None:
    body = {"name": "Ada", "email": "ok@example.com", "password": PASSWORD, field: value}
    answer = await visitor.post("/user/signup", body)
    assert (answer.status, set(answer.json["fields"])) == (422, {field})


async def test_passwords_that_differ_after_72_bytes_are_different(visitor: Client) -> None:
    email, password = "long@example.com", "x" * 72 + "one"
    assert (
        await visitor.post("/user/signup", {"name": "A", "email": email, "password": password})
    ).status == 201
    other = await visitor.post("/user/login", {"email": email, "password": "x" * 72 + "two"})
    assert other.status == 401


async def test_a_strangers_email_and_a_wrong_password_get_one_answer(visitor: Client, server: Server) -> None:
    async with server.visitor() as owner:
        email = await owner.sign_up()
    wrong = await visitor.post("/user/login", {"email": email, "password": "wrong password"})
    nobody = await visitor.post("/user/login", {"email": "nobody@example.com", "password": "wrong password"})
    assert (wrong.status, nobody.status) == (401, 401)
    assert _without_id(wrong.json) == _without_id(nobody.json)


async def test_the_sixth_wrong_try_in_a_minute_waits_wherever_it_says_it_comes_from(
    new_server: StartServer,
) -> None:
    async with new_server(TRUSTED_PROXIES="") as server, server.visitor() as visitor:
        email = await visitor.sign_up()
        statuses = []
        for number in range(7):
            answer = await visitor.post(
                "/user/login",
                {"email": email, "password": "wrong password"},
                headers={"X-Forwarded-For": f"192.0.2.{number}"},
            )
            statuses.append(answer.status)
        assert statuses == [401] * 5 + [429] * 2
        assert int(answer.headers["Retry-After"]) > 0


async def test_a_trusted_proxys_word_counts(server: Server) -> None:
    async with server.visitor() as visitor, server.visitor() as neighbour:
        email = await visitor.sign_up()
        for _ in range(6):
            tried = await visitor.post("/user/login", {"email": email, "password": "wrong password"})
        assert tried.status == 429
        assert (await neighbour.post("/user/login", {"email": email, "password": PASSWORD})).status == 200


async def test_a_proxy_may_add_a_line_of_its_own_below_what_the_client_claims(server: Server) -> None:
    async with server.visitor() as visitor:
        email = await visitor.sign_up()
        for number in range(6):
            tried = await visitor.post(
                "/user/login",
                {"email": email, "password": "wrong password"},
                headers=CIMultiDict(
                    [("X-Forwarded-For", f"192.0.2.{number}"), ("X-Forwarded-For", visitor.address)]
                ),
            )
        assert tried.status == 429


async def test_a_right_password_forgives_the_tries_before_it(user: Client) -> None:
    email = (await user.get("/user/me")).json["email"]
    for _ in range(3):
        for _ in range(4):
            assert (
                await user.post("/user/login", {"email": email, "password": "wrong password"})
            ).status == 401
        assert (await user.post("/user/login", {"email": email, "password": PASSWORD})).status == 200


async def test_logging_in_and_out_ends_sessions_on_the_server_too(user: Client) -> None:
    before = _cookie(user)
    email = (await user.get("/user/me")).json["email"]
    assert (await user.post("/user/login", {"email": email, "password": PASSWORD})).status == 200
    after = _cookie(user)
    assert (await user.post("/user/logout")).status == 204
    assert (await user.get("/user/me")).status == 401
    for stolen in (before, after):
        assert (await user.get("/user/me", headers={"Cookie": f"scalemesh={stolen}"})).status == 401


async def test_a_new_password_ends_the_other_sessions(server: Server, user: Client) -> None:
    email = (await user.get("/user/me")).json["email"]
    async with server.visitor() as phone:
        assert (await phone.post("/user/login", {"email": email, "password": PASSWORD})).status == 200
        wrong = await user.post("/user/password", {"currentPassword": "not it", "password": "another one"})
        assert (wrong.status, set(wrong.json["fields"])) == (403, {"currentPassword"})
        changed = await user.post("/user/password", {"currentPassword": PASSWORD, "password": "another one"})
        assert changed.status == 204
        assert (await user.get("/user/me")).status == 200
        assert (await phone.get("/user/me")).status == 401


async def test_500_log_ins_at_once_leave_the_server_quick(server: Server, user: Client) -> None:
    """Each from its own address; most are told to come back, and the loop goes on turning."""
    email = (await user.get("/user/me")).json["email"]

    async def log_in(number: int) -> int:
        answer = await user.post(
            "/user/login",
            {"email": f"{number}{email}", "password": PASSWORD},
            headers={"X-Forwarded-For": f"198.51.{number // 250}.{number % 250}"},
        )
        return answer.status

    tries = asyncio.gather(*(log_in(number) for number in range(500)))
    answered = 0
    while not tries.done():
        assert (await user.get("/health/live")).status == 200
        answered += 1
    assert set(await tries) <= {401, 503}
    assert answered > 1


@pytest.mark.parametrize(
    "target", ["//evil.example", "/\\evil.example", "https:evil.example", "evil", "/a\nb"]
)
async def test_next_never_leaves_the_site(user: Client, target: str) -> None:
    email = (await user.get("/user/me")).json["email"]
    answer = await user.submit("/user/login", email=email, password=PASSWORD, next=target)
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    assert (await user.submit("/user/login", email=email, password=PASSWORD, next="/projects/new")).headers[
        "Location"
    ] == "/projects/new"


async def test_a_server_may_take_no_new_accounts(new_server: StartServer) -> None:
    async with new_server(SIGNUPS="closed") as server, server.visitor() as visitor:
        body = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
        answer = await visitor.post("/user/signup", body)
        assert (answer.status, answer.json["code"]) == (403, "signups_closed")
        assert "/signup" not in (await visitor.get("/", headers={"Accept": "text/html"})).text


def _cookie(client: Client) -> str:
    return next(iter(client.session.cookie_jar)).value


def _without_id(shape: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in shape.items() if name != "requestID"}
