"""Trying again what a network or a store may do the next time."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random_exponential

ATTEMPTS = 5
WAIT_S = 0.1
MAX_WAIT_S = 5

Result = TypeVar("Result")


async def until_it_passes(
    attempt: Callable[[], Awaitable[Result]], may_pass: Callable[[BaseException], bool]
) -> Result:
    """What ``attempt`` returns, or its last error.

    tenacity takes a good part of a small request's time, so it begins with an error, its first attempt.
    """
    try:
        return await attempt()
    except Exception as error:
        if not may_pass(error):
            raise
        errors = [error]

    @retry(
        retry=retry_if_exception(may_pass),
        wait=wait_random_exponential(WAIT_S, MAX_WAIT_S),
        stop=stop_after_attempt(ATTEMPTS),
        reraise=True,
    )
    async def again() -> Result:
        if errors:
            raise errors.pop()
        return await attempt()

    return await again()
