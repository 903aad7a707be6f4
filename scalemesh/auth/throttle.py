"""How often somebody may try, counted in Redis so that every server process knows."""

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio import ConnectionPool

from scalemesh.errors import TooManyRequests

# A person mistypes a few times; the sixth try within a minute is a machine's or can wait.
_LOGINS_PER_ACCOUNT = RateLimitItemPerMinute(5)
# An office behind one address, all logging in at nine.
_LOGINS_PER_ADDRESS = RateLimitItemPerMinute(60)
_SIGNUPS_PER_ADDRESS = RateLimitItemPerMinute(30)


class _Storage(RedisStorage):
    """Imports its own client alone, not that of Valkey too, which is beside the embedded server's program."""

    DEPENDENCIES = {"redis": RedisStorage.DEPENDENCIES["redis"]}  # noqa: RUF012 - as in the class above it


class Throttle:
    """Raises TooManyRequests with the seconds to wait."""

    def __init__(self, redis_pool: ConnectionPool) -> None:
        self._storage = _Storage(
            "async+redis://",
            implementation="redispy",
            key_prefix="throttle",
            connection_pool=redis_pool,  # type: ignore[arg-type]
        )
        self._limiter = MovingWindowRateLimiter(self._storage)

    async def count_login(self, address: str, email_key: str) -> None:
        """Counts before the password is looked at: parallel tries can't overtake the count."""
        await self._hit(_LOGINS_PER_ADDRESS, "login", address)
        await self._hit(_LOGINS_PER_ACCOUNT, "login", address, email_key)

    async def forgive_login(self, address: str, email_key: str) -> None:
        """The password was right: what was tried before no longer counts."""
        await self._storage.clear(_LOGINS_PER_ACCOUNT.key_for("login", address, email_key))

    async def count_signup(self, address: str) -> None:
        await self._hit(_SIGNUPS_PER_ADDRESS, "signup", address)

    async def _hit(self, limit: RateLimitItem, *names: str) -> None:
        if await self._limiter.hit(limit, *names):
            return
        raise TooManyRequests(
            "Too many tries. Wait a minute, then try again.", retry_after_s=int(limit.get_expiry())
        )
