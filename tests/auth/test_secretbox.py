"""A project's secrets at rest."""

import json

import pytest

from scalemesh.auth.secretbox import SecretBox, SecretUnreadable, fernet_for
from scalemesh.model import Target, Variables

KEY = "a key for tests only"
PRODUCTION, PREVIEW = Target.PRODUCTION, Target.PREVIEW


def test_variables_come_back_with_their_scopes_and_are_not_to_be_read() -> None:
    variables: Variables = {
        "ALL": {PRODUCTION: "a-value", PREVIEW: "a-value"},
        "LIVE": {PRODUCTION: "l"},
        "TWO": {PRODUCTION: "1", PREVIEW: "2"},
    }
    sealed = SecretBox(KEY).seal(variables)
    assert sealed is not None
    assert b"a-value" not in sealed
    assert SecretBox(KEY).open(sealed) == variables
    assert SecretBox(KEY).seal({}) is None
    with pytest.raises(SecretUnreadable, match="SESSION_KEY"):
        SecretBox("another key").open(sealed)


def test_variables_from_before_there_were_scopes_are_for_every_target() -> None:
    sealed = fernet_for(KEY, "project variables").encrypt(json.dumps({"A": "1"}).encode())
    assert SecretBox(KEY).open(sealed) == {"A": {PRODUCTION: "1", PREVIEW: "1"}}
