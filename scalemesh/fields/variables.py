"""A project's variables: what a request may say about them, and what is kept after it."""

import re
from collections.abc import Iterable, Mapping, Sequence

from scalemesh.model import Target, VariableChange, Variables

MAX_VARIABLES = 64
VALUE_MAX_BYTES = 8 * 1024
# All of one build's travel in one environment variable to the builder; Linux allows 128 KiB for one.
BUILD_MAX_BYTES = 64 * 1024

EVERY_TARGET = frozenset(Target)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
# The sandbox decides these; a project that could would choose which programs the builder starts.
_RESERVED = frozenset({"PATH", "HOME", "TMPDIR", "SHELL", "USER", "IFS", "ENV", "BASH_ENV", "CI", "NODE_ENV"})
_RESERVED_PREFIXES = ("LD_", "DYLD_", "SCALEMESH", "GIT_")


def parse_object(value: Mapping[str, object]) -> list[VariableChange]:
    """``{NAME: said}``: text is for every target, None removes, an object names its scopes."""
    if len(value) > MAX_VARIABLES:
        raise ValueError(f"Use at most {MAX_VARIABLES} variables.")
    return [_change(name, said) for name, said in value.items()]


def parse_form(lines: str, scope: str, kept: Mapping[str, str]) -> list[VariableChange]:
    """``NAME=value`` lines for ``scope``, after the scope that each variable of ``kept`` is to have.

    A scope is ``all``, ``production`` or ``preview``; of a kept one also ``none``, which removes it.
    """
    moved = [VariableChange(_name(name), None, _form_scopes(name, said)) for name, said in kept.items()]
    scopes = _form_scopes("the new variables", scope)
    if not scopes:
        raise ValueError("Choose where the new variables are: production, preview or both.")
    return moved + [
        VariableChange(_name(name), _text(name, content), scopes) for name, content in _lines(lines)
    ]


def apply_changes(kept: Variables, changes: Iterable[VariableChange]) -> Variables:
    """``kept`` after ``changes``, one after another.

    Raises ValueError where a variable would be without a value, or a build's are too many.
    """
    after = {name: dict(values) for name, values in kept.items()}
    for change in changes:
        values = after.get(change.name, {})
        if change.value is not None:
            values = values | dict.fromkeys(change.scopes, change.value)
        else:
            if change.scopes and not values:
                raise ValueError(f"{change.name} has no value yet: give it one.")
            one = next(iter(values.values()), "")
            values = {target: values.get(target, one) for target in change.scopes}
        after[change.name] = values
    left = {name: values for name, values in after.items() if values}
    for target in Target:
        _check_build(values_for(left, target))
    return left


def values_for(variables: Variables, target: Target) -> dict[str, str]:
    """What a build for ``target`` sees: value by name."""
    return {name: values[target] for name, values in variables.items() if target in values}


def _change(name: str, said: object) -> VariableChange:
    _name(name)
    match said:
        case None:
            return VariableChange(name, None, frozenset())
        case str():
            return VariableChange(name, _text(name, said), EVERY_TARGET)
        case {"value": str(value), "scopes": scopes}:
            return VariableChange(name, _text(name, value), _scopes(name, scopes))
        case {"scopes": scopes, **rest} if "value" not in rest:
            return VariableChange(name, None, _scopes(name, scopes))
        case _:
            raise ValueError(f'Give {name} as text, or as {{"value": "…", "scopes": ["production"]}}.')


def _scopes(name: str, said: object) -> frozenset[Target]:
    if not isinstance(said, list) or not said or any(scope not in list(Target) for scope in said):
        raise ValueError(f'The scopes of {name} are a list of "production", "preview" or both.')
    return frozenset(map(Target, said))


def _form_scopes(name: str, said: str) -> frozenset[Target]:
    match said:
        case "all":
            return EVERY_TARGET
        case "none":
            return frozenset()
        case Target.PRODUCTION | Target.PREVIEW:
            return frozenset({Target(said)})
        case _:
            raise ValueError(f"Choose where {name[:40]} is: production, preview or both.")


def _lines(text: str) -> Sequence[tuple[str, str]]:
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, equals, content = line.partition("=")
        if not equals:
            raise ValueError(f"Write {name[:40]!r} as NAME=value, one variable a line.")
        found.append((name.strip(), content))
    return found


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name[:40]!r} can't be a variable's name: use letters, digits and _.")
    if name in _RESERVED or name.startswith(_RESERVED_PREFIXES):
        raise ValueError(f"{name} belongs to the builder. Choose another name.")
    return name


def _text(name: str, value: str) -> str:
    if len(value.encode()) > VALUE_MAX_BYTES or "\x00" in value:
        raise ValueError(f"The value of {name} is too long: use at most {VALUE_MAX_BYTES} bytes.")
    return value


def _check_build(values: Mapping[str, str]) -> None:
    if len(values) > MAX_VARIABLES:
        raise ValueError(f"Use at most {MAX_VARIABLES} variables.")
    if sum(len(name) + len(value.encode()) for name, value in values.items()) > BUILD_MAX_BYTES:
        raise ValueError(f"The variables are too long together: use at most {BUILD_MAX_BYTES} bytes.")
