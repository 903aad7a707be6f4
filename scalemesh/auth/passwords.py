"""argon2id, off the event loop, with a bounded queue."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from scalemesh.errors import Busy

T = TypeVar("T")

# OWASP's password storage cheat sheet: argon2id with 19 MiB, two passes, one lane. About 25 ms.
_MEMORY_KIB = 19 * 1024
_PASSES = 2
_LANES = 1
# One hash at a time leaves the other core to the event loop.
_THREADS = 1
# Thirty hashes are less than a second of work; whoever comes later is told at once to try again.
MAX_WAITING = 30
# Verified against where there is no such account, so that both answers take the same time. No password's
# hash, but of the same kind: a salt of 16 bytes and a tag of 32, all zero.
_NOBODY = f"$argon2id$v=19$m={_MEMORY_KIB},t={_PASSES},p={_LANES}${'A' * 22}${'A' * 43}"


class Passwords:
    """Hashes and verifies. ``close()`` ends its thread."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(_PASSES, _MEMORY_KIB, _LANES)
        self._thread = ThreadPoolExecutor(_THREADS, thread_name_prefix="argon2")
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """Raises Busy where too many wait already."""
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password is the hash's. None takes as long and is false. Raises Busy."""
        matches = await self._run(lambda: self._matches(password_hash or _NOBODY, password))
        return matches and password_hash is not None

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except VerifyMismatchError:
            return False
        except (InvalidHashError, VerificationError) as error:
            raise RuntimeError("a stored password hash can't be read") from error

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise Busy("Too many people are logging in at this moment. Try again in a few seconds.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1
