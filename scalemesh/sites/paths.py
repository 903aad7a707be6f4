"""A request's path as the name a manifest might have for it."""

import re
from urllib.parse import unquote_to_bytes

_BROKEN_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_CONTROL_OR_BACKSLASH = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")


class BadPath(Exception):
    """The path can't name a file of any site, or was made to be read in two ways."""


def decode_path(raw: str) -> str:
    """``raw`` percent-decoded, once, as UTF-8: ``/a%20b`` is ``/a b``, ``/%252e`` is ``/%2e``.

    Raises ``BadPath`` for a path that does not start with ``/``, a broken escape, bad UTF-8, control
    characters, a backslash, and ``.`` or ``..`` between slashes. Whether there is such a file is not asked.
    """
    if not raw.startswith("/") or not raw.isascii() or _BROKEN_ESCAPE.search(raw):
        raise BadPath
    try:
        path = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError as error:
        raise BadPath from error
    if _CONTROL_OR_BACKSLASH.search(path) or not {".", ".."}.isdisjoint(path.split("/")):
        raise BadPath
    return path
