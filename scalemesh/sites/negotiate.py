"""Which form of a file a client gets: RFC 9110 12.5.3, among the forms that the build made."""

import re

from scalemesh.sites.manifest import FileEntry

PREFERENCE = ("br", "gzip")
"""Smallest first, for a client that likes both equally."""

IDENTITY = "identity"

_ALIASES = {"x-gzip": "gzip"}  # RFC 9110 8.4.1.3

_MEMBER = re.compile(
    r"(?P<coding>[!#$%&'*+.^_`|~0-9a-z-]+)(?:[ \t]*;[ \t]*q=(?P<weight>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)


def choose_encoding(entry: FileEntry, accept_encoding: str) -> str:
    """``br``, ``gzip``, or ``identity``, which needs no Content-Encoding.

    ``identity`` also where the client refuses everything there is, its own plain form included: a page it
    did not ask for is of more use to it than a 406.
    """
    forms = [coding for coding in PREFERENCE if coding in entry.encodings]
    if not forms or not accept_encoding:
        return IDENTITY
    weights = _weights(accept_encoding)
    anything_else = weights.get("*", 0.0)
    # A plain form that is not spoken of is acceptable, but no wish: it loses against any that is.
    best, best_weight = IDENTITY, weights.get(IDENTITY, 0.0)
    for coding in reversed(forms):
        weight = weights.get(coding, anything_else)
        if weight > 0 and weight >= best_weight:
            best, best_weight = coding, weight
    return best


def _weights(accept_encoding: str) -> dict[str, float]:
    """``br;q=0.5, gzip`` as ``{"br": 0.5, "gzip": 1.0}``. Unreadable members are skipped."""
    weights: dict[str, float] = {}
    for text in accept_encoding.lower().split(","):
        if member := _MEMBER.fullmatch(text.strip(" \t")):
            weights[_ALIASES.get(member["coding"], member["coding"])] = float(member["weight"] or 1)
    return weights
