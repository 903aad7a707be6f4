"""Names of people and projects, emails, and the slugs that are made of names."""

import re
import unicodedata

NAME_MAX_CHARACTERS = 64
EMAIL_MAX_CHARACTERS = 254  # RFC 5321's path limit less the two angle brackets
# `{deploymentID}--{slug}` has to fit into one DNS label of 63.
SLUG_MAX_CHARACTERS = 48

# Names that would pass for a part of the platform, or that mail and certificates give a meaning to.
# fmt: off
RESERVED_SLUGS = frozenset({
    "www", "api", "admin", "app", "apps", "auth", "account", "accounts", "login", "logout", "signup",
    "dashboard", "control", "console", "static", "assets", "cdn", "mail", "smtp", "imap", "pop", "ftp",
    "ssh", "git", "ns", "ns1", "ns2", "mx", "autoconfig", "autodiscover", "webmaster", "hostmaster",
    "postmaster", "abuse", "security", "root", "system", "internal", "local", "localhost", "status",
    "support", "help", "billing", "metrics", "health",
})
# fmt: on


def text(value: str, *, what: str, limit: int) -> str:
    """One line of visible text, trimmed."""
    value = value.strip()
    if not value:
        raise ValueError(f"Give {what}.")
    if len(value) > limit:
        raise ValueError(f"Use at most {limit} characters for {what}.")
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in value):
        raise ValueError(f"Leave control characters out of {what}.")
    return value


def email(value: str) -> str:
    """An address as typed, in NFKC, its domain in lower case."""
    value = unicodedata.normalize("NFKC", value)
    if len(value) > EMAIL_MAX_CHARACTERS:
        raise ValueError(f"Use an email address of at most {EMAIL_MAX_CHARACTERS} characters.")
    # Its patterns take longer to compile than most of the server to start.
    from email_validator import EmailNotValidError, validate_email

    try:
        return validate_email(value, check_deliverability=False).normalized
    except EmailNotValidError:
        raise ValueError("Give an email address like ada@example.com.") from None


def email_key(address: str) -> str:
    """What makes two spellings of an address one account."""
    return unicodedata.normalize("NFKC", address).casefold()


def password(value: str) -> str:
    """8 to 1,024 bytes of UTF-8: long enough to resist guessing, short enough to hash quickly."""
    size = len(value.encode())
    if size < 8:
        raise ValueError("Use at least 8 characters for the password.")
    if size > 1024:
        raise ValueError("Use at most 1024 bytes for the password.")
    return value


def slug_of(name: str) -> str | None:
    """The address that a project's name makes, or None where it has no letter or digit of ASCII.

    Raises ValueError for a reserved one.
    """
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = "-".join(re.findall(r"[a-z0-9]+", ascii_name))[:SLUG_MAX_CHARACTERS].strip("-")
    if slug in RESERVED_SLUGS:
        raise ValueError(f"The address {slug} is reserved. Choose another name.")
    return slug or None
