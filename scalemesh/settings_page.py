"""docs/settings.md, made from the settings class: ``python scalemesh.py settings-docs``."""

from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo

from scalemesh.settings import Settings

_UNITS = {"_S": "seconds", "_MIB": "MiB", "_CPUS": "cores"}
_TYPES: dict[Any, str] = {str: "text", int: "whole number", float: "number", bool: "`1` or `0`", Path: "path"}

_HEAD = """# Settings

All by environment variables, and all optional: with none at all, one machine runs everything by itself. They
are read once, at start. Mistakes are told together, one a line, each with the variable to change:

    $ PORT=x REDIS_URL=nonsense python scalemesh.py
    The settings can't be used:
    PORT: give a whole number
    REDIS_URL: give an address like redis://host:6379/0, rediss:// or unix://

What is set and can't be reached is told together too. Without its database the server does not start; without
Redis or the bucket it starts, says so here and at `/health`, and works again when they are back.

This page is made by `make settings-docs`.

| name | type | default | unit | what it does |
|---|---|---|---|---|
"""

_TAIL = """
## Read by others

| name | by | what it does |
|---|---|---|
| `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_PROFILE`, `AWS_DEFAULT_REGION` and more | boto | keys and region for the bucket; a task's or an instance's role needs none |
| `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`, `NPM_CONFIG_*`, `PIP_*` | builds | handed on to builds that the server starts itself |
"""  # noqa: E501 - a row of a table is one line


def settings_page() -> str:
    rows = [_row(str(field.alias), field) for field in Settings.model_fields.values()]
    return _HEAD + "".join(rows) + _TAIL


def _row(name: str, field: FieldInfo) -> str:
    unit = next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), "")
    cells = (f"`{name}`", _kind(field), _default(field), unit, str(field.description))
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |\n"


def _kind(field: FieldInfo) -> str:
    kind = field.annotation
    if get_origin(kind) in (Union, UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    if get_origin(kind) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(kind))
    if get_origin(kind) is tuple:
        return "list, with commas"
    return _TYPES[kind] + _bounds(field)


def _bounds(field: FieldInfo) -> str:
    bounds = {type(bound): bound for bound in field.metadata}
    match bounds.get(Ge), bounds.get(Gt), bounds.get(Le):
        case Ge(low), _, Le(high):
            return f", {low} to {high}"
        case Ge(low), _, _:
            return f", {low} or more"
        case _, Gt(low), _:
            return f", over {low}"
        case _:
            return ""


def _default(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    assert isinstance(extra, dict)
    if unset := extra["unset"]:
        return str(unset)
    value = int(field.default) if isinstance(field.default, bool) else field.default
    return "" if value in ("", ()) else f"`{value}`"
