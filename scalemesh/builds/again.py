"""Trying again what a part that is away for a moment may do the next time."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import RetryCallState, retry, retry_if_exception, stop_after_attempt, wait_fixed

PAUSE_S = 1.0
"""Between two tries: a part that was killed takes a few of them to be back."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


async def persistently(
    work: Callable[[], Awaitable[T]],
    is_away: Callable[[BaseException], bool],
    *,
    attempts: int,
    said: Callable[[Exception], str] = str,
) -> T:
    """What ``work`` returns; another error than one that ``is_away``, or the last one of ``attempts``.

    ``said`` is an error in the server's own log.
    """

    def log(state: RetryCallState) -> None:
        error = state.outcome and state.outcome.exception()
        assert isinstance(error, Exception)
        logger.warning("trying again in %.0f s: %s", PAUSE_S, said(error))

    @retry(
        retry=retry_if_exception(is_away),
        wait=wait_fixed(PAUSE_S),
        stop=stop_after_attempt(attempts),
        before_sleep=log,
        reraise=True,
    )
    async def again() -> T:
        return await work()

    return await again()
