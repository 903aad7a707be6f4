"""What server processes tell each other."""

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from scalemesh.logs.events import Announcer, Event, SessionEnded, StatusChanged, decode, encode
from scalemesh.model import DeploymentID, Status, UserID
from tests.parts.ports import unused_port


@pytest.mark.parametrize(
    "event",
    [
        *(StatusChanged(DeploymentID("abc"), status) for status in Status),
        SessionEnded(UserID("ada"), "c0ffee"),
        SessionEnded(UserID("ada"), None),
    ],
)
def test_an_event_is_the_same_after_its_journey(event: Event) -> None:
    assert decode(encode(event)) == event
    assert decode(encode(event).encode()) == event


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"type":"other"}',
        '{"type":"status","deploymentID":"abc","status":"melted"}',
        '{"type":"status"}',
    ],
)
def test_what_is_no_event_is_refused(text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        decode(text)


async def test_an_announcement_that_redis_does_not_take_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async with Redis(port=unused_port(), retry=Retry(NoBackoff(), 0)) as away:
        await Announcer(away).announce(SessionEnded(UserID("ada"), None))
    assert "could not announce" in caplog.text
