"""Keys for one purpose each from SESSION_KEY (HKDF), and the encryption of a project's secrets."""

import base64
import json
from collections.abc import Mapping

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from scalemesh.model import Target, Variables


class SecretUnreadable(Exception):
    """Stored under another SESSION_KEY."""


def fernet_for(session_key: str, purpose: str) -> Fernet:
    """A Fernet whose key serves ``purpose`` alone: one purpose's ciphertext never opens as another's."""
    hkdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"scalemesh {purpose}".encode())
    return Fernet(base64.urlsafe_b64encode(hkdf.derive(session_key.encode())))


class SecretBox:
    """Encrypts a project's environment variables and its access token for the database."""

    def __init__(self, session_key: str) -> None:
        self._fernet = fernet_for(session_key, "project variables")
        self._tokens = fernet_for(session_key, "project access token")

    def seal(self, variables: Variables) -> bytes | None:
        """None for no variables."""
        if not variables:
            return None
        return self._fernet.encrypt(json.dumps({k: _stored(v) for k, v in variables.items()}).encode())

    def open(self, sealed: bytes | None) -> Variables:
        """Raises SecretUnreadable."""
        if sealed is None:
            return {}
        try:
            stored: dict[str, str | dict[str, str]] = json.loads(self._fernet.decrypt(sealed))
        except InvalidToken:
            raise SecretUnreadable("the project's variables were stored under another SESSION_KEY") from None
        return {name: _values(value) for name, value in stored.items()}

    def seal_token(self, token: str | None) -> bytes | None:
        return None if token is None else self._tokens.encrypt(token.encode())

    def open_token(self, sealed: bytes | None) -> str | None:
        """Raises SecretUnreadable."""
        if sealed is None:
            return None
        try:
            return self._tokens.decrypt(sealed).decode()
        except InvalidToken:
            raise SecretUnreadable(
                "the project's access token was stored under another SESSION_KEY"
            ) from None


def _stored(values: Mapping[Target, str]) -> str | Mapping[Target, str]:
    """One text where every target has it, as all variables were stored before they had scopes."""
    texts = set(values.values())
    return texts.pop() if len(values) == len(Target) and len(texts) == 1 else values


def _values(stored: str | Mapping[str, str]) -> Mapping[Target, str]:
    if isinstance(stored, str):
        return dict.fromkeys(Target, stored)
    return {Target(target): value for target, value in stored.items()}
