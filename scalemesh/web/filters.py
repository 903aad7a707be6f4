"""Times and sizes as the templates show them."""

from datetime import UTC, datetime


def ago(text: str | None) -> str:
    """How long ago an RFC 3339 time was."""
    if not text:
        return ""
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds())
    if seconds < 10:
        return "just now"
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            count = seconds // size
            return f"{count} {name}{'' if count == 1 else 's'} ago"
    return "just now"


def duration(start: str | None, end: str | None) -> str:
    """From start to end, or to now where it has not ended: ``4 s``, ``2 min 5 s``, ``1 h 3 min``."""
    if not start:
        return ""
    until = datetime.fromisoformat(end) if end else datetime.now(UTC)
    seconds = max(0, round((until - datetime.fromisoformat(start)).total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def filesize(count: int | None) -> str:
    """Decimal units, as file managers show them."""
    if count is None:
        return ""
    if count < 1000:
        return f"{count} B"
    size = float(count)
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.5 or unit == "GB":
            break
    return f"{size:.1f} {unit}"
