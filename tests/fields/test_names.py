"""Names, emails, passwords and slugs."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalemesh.fields import names


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("My Site", "my-site"),
        ("  Über  Café! ", "uber-cafe"),
        ("a--b", "a-b"),
        ("xn--80ak6aa92e", "xn-80ak6aa92e"),
        ("-x-", "x"),
        ("x" * 64, "x" * 48),
        ("а", None),  # Cyrillic
        ("日本", None),
        ("!!!", None),
    ],
)
def test_a_name_makes_a_safe_slug_of_our_own(name: str, slug: str | None) -> None:
    assert names.slug_of(name) == slug


@pytest.mark.parametrize("name", ["www", "API", "Admin", "login", "status"])
def test_a_reserved_slug_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="reserved"):
        names.slug_of(name)


@given(st.text(max_size=80))
def test_every_slug_is_a_dns_label_without_two_hyphens(name: str) -> None:
    try:
        slug = names.slug_of(name)
    except ValueError:
        return
    assert slug is None or (re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", slug) and "--" not in slug)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "x",
        "a b@example.com",
        "a@b",
        "a@example.com\r\nBcc: x",
        "a@example.com\n",
        "a" * 250 + "@example.com",
    ],
)
def test_what_is_no_email_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="email"):
        names.email(address)


def test_two_spellings_of_an_email_have_one_key() -> None:
    plain = names.email_key(names.email("ada@example.com"))
    assert names.email_key(names.email("ADA@Example.com")) == plain
    assert names.email_key(names.email("ａｄａ@example.com")) == plain


@pytest.mark.parametrize("text", ["1234567", "x" * 1025, "é" * 513])
def test_a_password_has_8_to_1024_bytes(text: str) -> None:
    with pytest.raises(ValueError, match="password"):
        names.password(text)
    assert names.password("x" * 1024)
