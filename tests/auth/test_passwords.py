"""What a log-in with the name of nobody costs."""

from argon2 import extract_parameters

from scalemesh.auth import passwords
from scalemesh.auth.passwords import Passwords


async def test_nobodys_hash_takes_as_long_as_anybodys_and_is_no_passwords() -> None:
    hashes = Passwords()
    try:
        somebodys = await hashes.hash("a password")
        assert extract_parameters(passwords._NOBODY) == extract_parameters(somebodys)
        assert not await hashes.verify(None, "a password")
    finally:
        hashes.close()
