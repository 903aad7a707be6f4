"""Request bodies: strict JSON or a form, bounded in bytes and in time, into a pydantic model."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_exceptions import HTTPRequestEntityTooLarge
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from scalemesh.errors import InvalidInput, MalformedRequest, RequestTimeout, UnsupportedMediaType
from scalemesh.web.services import SERVICES

MAX_BODY_BYTES = 64 * 1024
# aiohttp itself would wait for ever on a body that comes a byte at a time.
BODY_TIMEOUT_S = 6.0
_FORM = "application/x-www-form-urlencoded"
# A project's settings: 64 variables, each with its scope, and a dozen fields of their own.
_MAX_FORM_FIELDS = 128


class Payload(BaseModel):
    """Base of the bodies. Unknown fields are ignored; wrong ones are named together."""

    model_config = ConfigDict(extra="ignore", frozen=True)


P = TypeVar("P", bound=Payload)
FORM_VALUES = web.RequestKey("form values", dict[str, str])


def is_form(request: web.Request) -> bool:
    return request.content_type == _FORM


def form_values(request: web.Request) -> dict[str, str]:
    """What a form post held, for showing it again; empty where the body was not read."""
    values: dict[str, str] = request.get(FORM_VALUES, {})
    return values


async def read_payload(request: web.Request, model: type[P]) -> P:
    """Raises UnsupportedMediaType, MalformedRequest, RequestTimeout, InvalidInput, HTTP 413."""
    if is_form(request):
        values = _parse_form(await _read(request))
        request[FORM_VALUES] = values
        return _validate(request, model, values, strict=False)
    if request.content_type != "application/json":
        raise UnsupportedMediaType("Send JSON, with Content-Type: application/json.")
    if (request.charset or "utf-8").lower() not in ("utf-8", "utf8"):
        raise MalformedRequest("Send the JSON in UTF-8.")
    return _validate(request, model, parse_json_object(await _read(request)), strict=True)


def parse_json_object(data: bytes) -> dict[str, Any]:
    """JSON as RFC 8259 has it and Postgres can hold it. Raises MalformedRequest."""
    try:
        value = json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant)
        _check_text(value)
    except (ValueError, RecursionError) as error:
        detail = str(error) if isinstance(error, _NotAcceptable) else "it can't be read as JSON"
        raise MalformedRequest(f"The body must be a JSON object: {detail}.") from None
    if not isinstance(value, dict):
        raise MalformedRequest("The body must be a JSON object.")
    return value


class _NotAcceptable(ValueError):
    """Valid to Python's parser, but not to us; the text ends a sentence."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _NotAcceptable("a name occurs twice in one object")
    return found


def _refuse_constant(name: str) -> None:
    raise _NotAcceptable(f"{name} is no JSON number")


def _check_text(value: object) -> None:
    """No NUL (Postgres text can't hold it) and no lone surrogate (UTF-8 can't) anywhere."""
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise _NotAcceptable("a text holds a character that can't be stored")
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_text(name)
            _check_text(item)
    elif isinstance(value, list):
        for item in value:
            _check_text(item)


async def _read(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await request.read()
    except TimeoutError:
        raise RequestTimeout("The request's body took too long to arrive.") from None
    except HTTPRequestEntityTooLarge:
        raise
    except (web.RequestPayloadError, HttpProcessingError):
        raise MalformedRequest("The request's body does not match its headers.") from None


def _parse_form(data: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            data.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FORM_FIELDS
        )
        _check_text([list(pair) for pair in pairs])
    except ValueError:
        raise MalformedRequest("The form can't be read.") from None
    return dict(pairs)


def _validate(request: web.Request, model: type[P], values: Mapping[str, Any], *, strict: bool) -> P:
    try:
        return model.model_validate(values, strict=strict, context=request.app[SERVICES].git_rules)
    except ValidationError as error:
        fields: dict[str, str] = {}
        for mistake in error.errors():
            fields.setdefault(str(mistake["loc"][0]), _sentence(mistake))
        raise InvalidInput(fields) from None


def _sentence(mistake: ErrorDetails) -> str:
    name = mistake["loc"][0]
    match mistake["type"]:
        case "missing":
            return f"{name} is required."
        case "string_type":
            return f"{name} must be text."
        case "value_error":
            return mistake["msg"].removeprefix("Value error, ")
        case _:
            return f"{name}: {mistake['msg']}."
