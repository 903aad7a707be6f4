"""Errors named for what happened. ``web/errors.py`` alone knows which HTTP status each becomes."""

from collections.abc import Mapping


class ScaleMeshError(Exception):
    """Base of the errors a person can be told. ``str(error)`` is a sentence for that person.

    ``code`` is stable, for programs. ``fields`` maps a request field to what is wrong with it.
    """

    code = "error"

    def __init__(self, message: str, *, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.fields: dict[str, str] = dict(fields or {})


class InvalidInput(ScaleMeshError):
    """Understood, but a field's value can't be used. ``fields`` names each one and the fix."""

    code = "invalid_input"

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(" ".join(fields.values()), fields=fields)


class MalformedRequest(ScaleMeshError):
    """Not understood at all: the body is not the JSON object or form it says it is."""

    code = "malformed_request"


class UnsupportedMediaType(ScaleMeshError):
    code = "unsupported_media_type"


class RequestTimeout(ScaleMeshError):
    code = "request_timeout"


class NotLoggedIn(ScaleMeshError):
    code = "not_logged_in"

    def __init__(self) -> None:
        super().__init__("Log in first.")


class WrongCredentials(ScaleMeshError):
    """One message for a stranger's email and a wrong password: neither is told from the other."""

    code = "wrong_credentials"

    def __init__(self) -> None:
        super().__init__("The email or the password is wrong.")


class WrongPassword(ScaleMeshError):
    """Somebody who is logged in gave another password than theirs."""

    code = "wrong_password"

    def __init__(self) -> None:
        message = "This is not your current password."
        super().__init__(message, fields={"currentPassword": message})


class ForeignOrigin(ScaleMeshError):
    """A write or a WebSocket that another site's page started with this user's cookie."""

    code = "foreign_origin"

    def __init__(self) -> None:
        super().__init__("This request came from another site's page, so it was not carried out.")


class SignupsClosed(ScaleMeshError):
    code = "signups_closed"

    def __init__(self) -> None:
        super().__init__("This server takes no new accounts. Ask the person who runs it.")


class EmailTaken(ScaleMeshError):
    code = "email_taken"

    def __init__(self) -> None:
        message = "An account with this email exists. Log in, or use another email."
        super().__init__(message, fields={"email": message})


class SlugTaken(ScaleMeshError):
    code = "slug_taken"

    def __init__(self, slug: str) -> None:
        message = f"The address {slug} is taken. Choose another name."
        super().__init__(message, fields={"name": message})


class ProjectNotFound(ScaleMeshError):
    """Also somebody else's project: the answer is the same, byte for byte."""

    code = "project_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such project.")


class DeploymentNotFound(ScaleMeshError):
    """Also somebody else's deployment: the answer is the same, byte for byte."""

    code = "deployment_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such deployment.")


class IdempotencyConflict(ScaleMeshError):
    code = "idempotency_conflict"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was used for another deploy request. Use a new key for a new request."
        )


class CannotPromote(ScaleMeshError):
    """Only a deployment with a whole upload can go live."""

    code = "cannot_promote"


class CannotCancel(ScaleMeshError):
    """The deployment has already ended."""

    code = "cannot_cancel"


class TooManyRequests(ScaleMeshError):
    """``retry_after_s`` says when it is worth trying again."""

    code = "too_many_requests"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Busy(ScaleMeshError):
    """The server has more work of this kind than it will hold; nothing was changed."""

    code = "busy"

    def __init__(self, message: str, *, retry_after_s: int = 2) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class LogClientTooSlow(ScaleMeshError):
    """A log client let its bounded queue fill. It is closed and may come back with ``after=SEQ``."""

    code = "log_client_too_slow"
