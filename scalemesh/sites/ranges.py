"""One byte range of a file: RFC 9110 14.1.2."""

import re
from dataclasses import dataclass

# 18 digits are an exabyte. Python counts the digits of longer numbers against a limit of its own, and raises.
_SINGLE = re.compile(r"bytes=[ \t]*(?P<first>[0-9]{0,18})-(?P<last>[0-9]{0,18})[ \t]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """``length`` bytes, at least 1, from ``start``, counted from 0."""

    start: int
    length: int


class RangeNotSatisfiable(Exception):
    """The file has none of the bytes asked for."""


def parse_range(header: str, size: int) -> ByteRange | None:
    """The one range that ``header`` asks of a file of ``size`` bytes, cut to it; None to send the whole.

    None for several ranges too: a thousand of them would be a thousand times the file, and to ignore Range
    is always allowed. Also for what is no range of bytes, and for every range of an empty file, as Go's
    ``net/http`` does: clients send ``bytes=0-`` as a matter of course. Raises ``RangeNotSatisfiable``.
    """
    asked = _SINGLE.fullmatch(header)
    if asked is None or size == 0:
        return None
    first, last = asked["first"], asked["last"]
    if not first:
        return _suffix(int(last), size) if last else None
    start, end = int(first), int(last) if last else size - 1
    if start > end and last:
        return None
    if start >= size:
        raise RangeNotSatisfiable
    return ByteRange(start, min(end, size - 1) - start + 1)


def _suffix(length: int, size: int) -> ByteRange:
    if length == 0:
        raise RangeNotSatisfiable
    length = min(length, size)
    return ByteRange(size - length, length)
