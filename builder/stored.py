"""What a listing of the artifact store says of an object."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Stored:
    """``name`` is what follows the prefix in the object's key."""

    name: str
    bytes: int
    modified: datetime | None
    """None where the store does not say."""
