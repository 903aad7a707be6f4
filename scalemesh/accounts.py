"""Accounts: who may come in, and how long they stay."""

from datetime import timedelta

from scalemesh import keys
from scalemesh.auth.passwords import Passwords
from scalemesh.auth.throttle import Throttle
from scalemesh.auth.tokens import new_token, token_hash
from scalemesh.db import sessions, users
from scalemesh.db.pool import Pool
from scalemesh.errors import SignupsClosed, WrongCredentials, WrongPassword
from scalemesh.fields.names import email_key
from scalemesh.model import User, UserID

SESSION_LIFETIME = timedelta(days=30)


class Accounts:
    def __init__(self, pool: Pool, passwords: Passwords, throttle: Throttle, *, signups_open: bool) -> None:
        self._pool = pool
        self._passwords = passwords
        self._throttle = throttle
        self.signups_open = signups_open

    async def sign_up(self, *, name: str, email: str, password: str, address: str) -> User:
        """``address`` is the client's IP address. Raises SignupsClosed, EmailTaken, TooManyRequests, Busy."""
        if not self.signups_open:
            raise SignupsClosed
        await self._throttle.count_signup(address)
        return await users.insert_user(
            self._pool,
            user_id=UserID(keys.new_id()),
            name=name,
            email=email,
            email_key=email_key(email),
            password_hash=await self._passwords.hash(password),
        )

    async def log_in(self, *, email: str, password: str, address: str) -> User:
        """Raises WrongCredentials, TooManyRequests, Busy."""
        key = email_key(email)
        await self._throttle.count_login(address, key)
        stored = await users.fetch_credentials(self._pool, key)
        right = await self._passwords.verify(stored.password_hash if stored else None, password)
        if stored is None or not right:
            raise WrongCredentials
        await self._throttle.forgive_login(address, key)
        return stored.user

    async def change_password(self, user: User, *, current: str, new: str, address: str) -> None:
        """Ends every session of the user. Raises WrongPassword, TooManyRequests, Busy."""
        key = email_key(user.email)
        await self._throttle.count_login(address, key)
        if not await self._passwords.verify(await users.fetch_password_hash(self._pool, user.id), current):
            raise WrongPassword
        await users.update_password_hash(self._pool, user.id, await self._passwords.hash(new))
        await self._throttle.forgive_login(address, key)

    async def begin_session(self, user: User) -> str:
        """A new session's token, for the cookie."""
        token = new_token()
        await sessions.insert_session(
            self._pool, token_hash=token_hash(token), user_id=user.id, lifetime=SESSION_LIFETIME
        )
        return token

    async def fetch_session_user(self, token: str) -> User | None:
        """None where the session never was, has ended or has expired."""
        return await sessions.fetch_session_user(self._pool, token_hash(token))

    async def end_session(self, token: str) -> None:
        await sessions.delete_session(self._pool, token_hash(token))
