"""The users table."""

from dataclasses import dataclass

import asyncpg

from scalemesh.db.pool import Pool
from scalemesh.errors import EmailTaken
from scalemesh.model import User, UserID


@dataclass(frozen=True, slots=True)
class StoredCredentials:
    user: User
    password_hash: str


def user_record(row: asyncpg.Record) -> User:
    return User(id=UserID(row["id"]), name=row["name"], email=row["email"], created_at=row["created_at"])


async def insert_user(
    pool: Pool, *, user_id: UserID, name: str, email: str, email_key: str, password_hash: str
) -> User:
    """Raises EmailTaken where another account has the same ``email_key``, also under a race."""
    try:
        row = await pool.fetchrow(
            """
            INSERT INTO users (id, name, email, email_key, password_hash)
            VALUES ($1, $2, $3, $4, $5)
            RETURNING id, name, email, created_at
            """,
            user_id,
            name,
            email,
            email_key,
            password_hash,
        )
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == "users_email_key":
            raise EmailTaken from None
        raise
    assert row is not None
    return user_record(row)


async def fetch_credentials(pool: Pool, email_key: str) -> StoredCredentials | None:
    row = await pool.fetchrow(
        """
        SELECT id, name, email, created_at, password_hash
        FROM users
        WHERE email_key = $1
        """,
        email_key,
    )
    return StoredCredentials(user_record(row), row["password_hash"]) if row else None


async def fetch_password_hash(pool: Pool, user_id: UserID) -> str | None:
    hashed: str | None = await pool.fetchval("SELECT password_hash FROM users WHERE id = $1", user_id)
    return hashed


async def update_password_hash(pool: Pool, user_id: UserID, password_hash: str) -> None:
    """Also ends every session of the user: whoever knew the old password is out."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("UPDATE users SET password_hash = $2 WHERE id = $1", user_id, password_hash)
        await connection.execute("DELETE FROM sessions WHERE user_id = $1", user_id)
