"""How git proves to a private repository's host that it may read. Pure.

git has the token from its environment: an argument list is everybody's to read, and a URL ends up in logs
and in the checkout's configuration.
"""

import base64

from builder.giturl import RepoURL

ANY_USER = "x-access-token"
"""GitHub's name for the user of a token. GitLab, Gitea and Forgejo take any."""


def token_environment(url: RepoURL, token: str | None) -> dict[str, str]:
    """Variables that make git send ``token`` to the host of ``url`` and to no other."""
    if token is None or url.scheme not in ("http", "https"):
        return {}
    host = f"[{url.host}]" if ":" in url.host else url.host
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{url.scheme}://{host}:{url.port}/.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {_basic(token)}",
    }


def token_spellings(token: str | None) -> list[str]:
    """Every form in which the token could be printed."""
    if token is None:
        return []
    return [token, token.rpartition(":")[2], _basic(token)]


def _basic(token: str) -> str:
    login = token if ":" in token else f"{ANY_USER}:{token}"
    return base64.b64encode(login.encode()).decode()
