"""The sessions table: what makes a cookie revocable."""

from collections.abc import Collection
from datetime import timedelta

from scalemesh.db.pool import Pool
from scalemesh.db.users import user_record
from scalemesh.model import User, UserID


async def insert_session(pool: Pool, *, token_hash: bytes, user_id: UserID, lifetime: timedelta) -> None:
    await pool.execute(
        """
        INSERT INTO sessions (token_hash, user_id, expires_at)
        VALUES ($1, $2, now() + $3::interval)
        """,
        token_hash,
        user_id,
        lifetime,
    )


async def fetch_session_user(pool: Pool, token_hash: bytes) -> User | None:
    row = await pool.fetchrow(
        """
        SELECT users.id, users.name, users.email, users.created_at
        FROM sessions
        JOIN users ON users.id = sessions.user_id
        WHERE sessions.token_hash = $1
          AND sessions.expires_at > now()
        """,
        token_hash,
    )
    return user_record(row) if row else None


async def list_alive(pool: Pool, token_hashes: Collection[bytes]) -> set[bytes]:
    """Those of them that have not ended."""
    rows = await pool.fetch(
        """
        SELECT token_hash
        FROM sessions
        WHERE token_hash = ANY ($1::bytea[])
          AND expires_at > now()
        """,
        list(token_hashes),
    )
    return {row["token_hash"] for row in rows}


async def delete_session(pool: Pool, token_hash: bytes) -> None:
    await pool.execute("DELETE FROM sessions WHERE token_hash = $1", token_hash)


async def delete_expired_sessions(pool: Pool) -> None:
    await pool.execute("DELETE FROM sessions WHERE expires_at < now()")
