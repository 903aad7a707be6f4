"""Variables and their scopes: what is said about them, and what is kept."""

import pytest

from scalemesh.fields import variables
from scalemesh.model import Target, VariableChange, Variables

PRODUCTION, PREVIEW = Target.PRODUCTION, Target.PREVIEW
BOTH = frozenset(Target)


def both(value: str) -> dict[Target, str]:
    return dict.fromkeys(Target, value)


def after(kept: Variables, said: dict[str, object]) -> Variables:
    return variables.apply_changes(kept, variables.parse_object(said))


@pytest.mark.parametrize(
    "name", ["PATH", "TMPDIR", "LD_PRELOAD", "A=B", "1A", "", "A B", "SCALEMESH", "GIT_DIR", "Ä"]
)
def test_a_name_that_the_builder_decides_or_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        variables.parse_object({name: "x"})
    with pytest.raises(ValueError, match="name"):
        variables.parse_form("", "all", {name: "all"})


@pytest.mark.parametrize("env", [{"A": "x" * 9000}, {"A": "\x00"}, {f"A{n}": "x" for n in range(65)}])
def test_what_is_too_much_at_once_is_refused(env: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"use at most|Use at most"):
        variables.parse_object(env)


@pytest.mark.parametrize(
    "said",
    [
        1, ["x"], {}, {"value": "x"}, {"value": None, "scopes": ["preview"]},
        {"value": 1, "scopes": ["preview"]}, {"value": "x", "scopes": []},
        {"value": "x", "scopes": "preview"}, {"value": "x", "scopes": ["prod"]},
        {"value": "x", "scopes": [["preview"]]}, {"value": "x", "scopes": None}, {"scopes": []},
    ],
)  # fmt: skip
def test_a_wrong_value_or_scope_is_answered_with_the_right_one(said: object) -> None:
    with pytest.raises(ValueError, match=r'API_URL.*"production"'):
        variables.parse_object({"API_URL": said})


def test_usual_variables_are_taken() -> None:
    said = {
        "VITE_API": "https://api.example.com",
        "_x": "",
        "GONE": None,
        "KEY": {"value": "k", "scopes": ["production", "production"]},
        "MOVED": {"scopes": ["preview", "production"]},
    }
    assert variables.parse_object(said) == [
        VariableChange("VITE_API", "https://api.example.com", BOTH),
        VariableChange("_x", "", BOTH),
        VariableChange("GONE", None, frozenset()),
        VariableChange("KEY", "k", frozenset({PRODUCTION})),
        VariableChange("MOVED", None, BOTH),
    ]


KEPT: Variables = {"ALL": both("a"), "LIVE": {PRODUCTION: "l"}, "TWO": {PRODUCTION: "1", PREVIEW: "2"}}


@pytest.mark.parametrize(
    ("name", "said", "left"),
    [
        ("ALL", "b", both("b")),
        ("ALL", None, {}),
        ("ALL", {"value": "b", "scopes": ["preview"]}, {PRODUCTION: "a", PREVIEW: "b"}),
        ("ALL", {"scopes": ["production"]}, {PRODUCTION: "a"}),
        ("LIVE", {"scopes": ["preview"]}, {PREVIEW: "l"}),
        ("LIVE", {"scopes": ["production", "preview"]}, both("l")),
        ("LIVE", {"value": "p", "scopes": ["preview"]}, {PRODUCTION: "l", PREVIEW: "p"}),
        ("TWO", {"scopes": ["production", "preview"]}, {PRODUCTION: "1", PREVIEW: "2"}),
        ("TWO", {"scopes": ["preview"]}, {PREVIEW: "2"}),
        ("TWO", "3", both("3")),
        ("NEW", {"value": "n", "scopes": ["production"]}, {PRODUCTION: "n"}),
        ("NEW", None, {}),
    ],
)
def test_a_change_touches_the_scopes_that_it_names(name: str, said: object, left: dict[Target, str]) -> None:
    expected = {**KEPT, name: left}
    assert after(KEPT, {name: said}) == {name: values for name, values in expected.items() if values}


def test_a_variable_without_a_value_cannot_be_moved() -> None:
    with pytest.raises(ValueError, match="NEW has no value yet"):
        after(KEPT, {"NEW": {"scopes": ["preview"]}})


def test_the_limits_are_those_of_one_build() -> None:
    half: dict[str, object] = {f"A{n}": {"value": "x" * 8000, "scopes": ["production"]} for n in range(5)}
    kept = after({}, half)
    more: dict[str, object] = {f"B{n}": {"value": "x" * 8000, "scopes": ["preview"]} for n in range(5)}
    assert len(after(kept, more)) == 10
    with pytest.raises(ValueError, match="too long together"):
        after(kept, {f"B{n}": "x" * 8000 for n in range(5)})
    many = after({}, {f"A{n}": "x" for n in range(64)})
    with pytest.raises(ValueError, match="at most 64"):
        after(many, {"B": "x"})


def test_a_build_sees_its_targets_values_only() -> None:
    assert variables.values_for(KEPT, PRODUCTION) == {"ALL": "a", "LIVE": "l", "TWO": "1"}
    assert variables.values_for(KEPT, PREVIEW) == {"ALL": "a", "TWO": "2"}


def test_a_forms_lines_have_one_scope_and_what_is_kept_has_its_own() -> None:
    kept = {"ALL": "preview", "LIVE": "none", "TWO": "all"}
    changes = variables.parse_form("\n A=1=2 \r\nTWO=\n", "production", kept)
    assert variables.apply_changes(KEPT, changes) == {
        "A": {PRODUCTION: "1=2"},
        "ALL": {PREVIEW: "a"},
        "TWO": {PRODUCTION: "", PREVIEW: "2"},
    }


@pytest.mark.parametrize(
    ("lines", "scope", "kept"),
    [("A", "all", {}), ("A=1", "none", {}), ("A=1", "x", {}), ("", "all", {"A": "x"})],
)
def test_a_form_that_says_nothing_clear_is_refused(lines: str, scope: str, kept: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"NAME=value|Choose where"):
        variables.parse_form(lines, scope, kept)
