"""What server processes tell each other."""

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from scalemesh.logs.events import Announcer, Event, SessionEnded, SiteChanged, StatusChanged, decode, encode
from scalemesh.model import DeploymentID, ProjectID, Status, UserID
from tests.parts.ports import unused_port


@pytest.mark.parametrize(
    "event",
    [
        *(StatusChanged(DeploymentID("abc"), status) for status in Status),
        SessionEnded(UserID("ada"), "c0ffee"),
        SessionEnded(UserID("ada"), None),
        SiteChanged(ProjectID("shop")),
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


class _Kept(Announcer):
    def __init__(self) -> None:
        self.events: list[Event] = []

    async def announce(self, event: Event) -> None:
        self.events.append(event)


@pytest.mark.parametrize("status", Status)
async def test_a_deployment_that_is_ready_changes_its_site(status: Status) -> None:
    kept = _Kept()
    await kept.announce_outcome(ProjectID("shop"), DeploymentID("abc"), status)
    changed = [SiteChanged(ProjectID("shop"))] if status is Status.READY else []
    assert kept.events == [*changed, StatusChanged(DeploymentID("abc"), status)]


async def test_an_announcement_that_redis_does_not_take_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async with Redis(port=unused_port(), retry=Retry(NoBackoff(), 0)) as away:
        await Announcer(away).announce(SessionEnded(UserID("ada"), None))
    assert "could not announce" in caplog.text
