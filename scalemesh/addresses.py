"""Addresses of a database and of a Redis, as people and hosting platforms write them. All pure."""

import ipaddress
import re
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

import redis.connection

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_KEYWORDS = frozenset(
    ("host", "hostaddr", "port", "user", "password", "dbname", "sslmode", "TimeZone", "connect_timeout")
)


def database_address(text: str) -> str:
    """A ``postgresql://`` URL, from one or from libpq's words. Raises ValueError with the fix."""
    if not text.startswith(("postgres://", "postgresql://")):
        text = keyword_dsn_to_url(text)
    parts = urlsplit(text)
    for place in parts.netloc.rpartition("@")[2].split(","):
        port = re.search(r":([^:\]]*)$", place)
        if parts.fragment or (port and not (port[1].isdecimal() and int(port[1]) <= 65535)):
            raise ValueError(
                "its host or port can't be read: in a user or password write / # @ : ? as %2F %23 %40 %3A %3F"
            )
    sslmode = parse_qs(parts.query).get("sslmode", ["prefer"])[-1]
    if sslmode not in _SSL_MODES:
        raise ValueError(f"sslmode is one of {', '.join(_SSL_MODES)}")
    return text


def keyword_dsn_to_url(text: str) -> str:
    """``host=… user=… dbname=…`` (libpq's keyword form) as a URL.

    Raises ValueError for an unknown word. ``TimeZone`` becomes a server setting.
    """
    words: dict[str, str] = {}
    for word in text.split():
        name, equals, value = word.partition("=")
        if not equals or name not in _KEYWORDS:
            raise ValueError(
                "give a postgresql:// URL, or words like host=… user=… password=… dbname=… port=… sslmode=…"
            )
        words[name] = value
    if "host" not in words and "hostaddr" not in words:
        raise ValueError("host= is missing")
    login = quote(words.get("user", ""), safe="")
    if "password" in words:
        login += ":" + quote(words["password"], safe="")
    query = {"host": words.get("host") or words["hostaddr"], "port": words.get("port", "5432")}
    if "sslmode" in words:
        query["sslmode"] = words["sslmode"]
    if "TimeZone" in words:
        query["timezone"] = words["TimeZone"]
    return f"postgresql://{login}@/{quote(words.get('dbname', ''), safe='')}?{urlencode(query)}"


def redis_address(text: str) -> str:
    """``text``. Raises ValueError with the fix."""
    try:
        redis.connection.parse_url(text)  # type: ignore[no-untyped-call]
    except ValueError:
        raise ValueError("give an address like redis://host:6379/0, rediss:// or unix://") from None
    return text


def trusting_any_certificate(redis_url: str) -> str:
    """``redis_url``, encrypted all the same, to whoever answers; redis-py and the builder read it there."""
    parts = urlsplit(redis_url)
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name != "ssl_cert_reqs"]
    return parts._replace(query=urlencode([*kept, ("ssl_cert_reqs", "none")])).geturl()


def without_password(url: str) -> str:
    """``url`` as it may be shown: more people read messages and logs than settings."""
    parts = urlsplit(url)
    user, at, place = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    where = [(key, value) for key, value in parse_qsl(parts.query) if key in ("host", "port", "sslmode")]
    return parts._replace(
        netloc=f"{name}{at if name else ''}{place}", query=urlencode(where, safe="/"), fragment=""
    ).geturl()


def is_http_url(text: str) -> bool:
    parts = urlsplit(text)
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def is_loopback(host: str) -> bool:
    """False for a name other than localhost: where it leads may change."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
