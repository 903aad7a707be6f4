"""A file's content, its hash, and the compressed forms that are worth keeping."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from builder.collect import Found, read_found
from builder.earlier import Entry
from builder.fingerprint import is_fingerprinted
from builder.mime import is_compressible, media_type

MIN_COMPRESSED_BYTES = 256
"""Below it a response's headers outweigh what is saved."""

WORTHWHILE = 0.9
"""A form has to be at least a tenth smaller, or it is not kept."""

BROTLI_QUALITY = 7
"""9 takes half as long again for three in a thousand, 10 and 11 ten times as long for a few per cent; and
somebody waits for a deploy."""

BROTLI_SMALL_BYTES = 2**16 - 16
BROTLI_SMALL_WINDOW = 16
"""A window of 64 KiB holds all of such content. With a larger one brotli first clears tables of some MiB,
which takes 12 ms for a page of 6 KB, forty times as long as compressing it."""

GZIP_LEVEL = 9


@dataclass(frozen=True, slots=True)
class Blob:
    sha256: str
    content: bytes

    @classmethod
    def of(cls, content: bytes) -> "Blob":
        return cls(hashlib.sha256(content).hexdigest(), content)

    def to_json(self) -> dict[str, object]:
        return {"sha256": self.sha256, "bytes": len(self.content)}


@dataclass(frozen=True, slots=True)
class Encoded:
    """A file ready to upload. ``forms`` maps a Content-Encoding to the content in that form."""

    path: str
    media: str
    fingerprinted: bool
    blob: Blob
    forms: dict[str, Blob]
    stored_forms: Mapping[str, Entry] = field(default_factory=dict)
    """As an earlier manifest has them, in place of ``forms``."""

    def to_json(self) -> dict[str, object]:
        """The file's entry in the manifest."""
        return {
            **self.blob.to_json(),
            "type": self.media,
            "fingerprinted": self.fingerprinted,
            "encodings": self.stored_forms or {name: form.to_json() for name, form in self.forms.items()},
        }


def encode(
    output: Path, found: Found, max_bytes: int, known_forms: Mapping[str, Mapping[str, Entry]]
) -> Encoded:
    """Reads and compresses one file: seconds of work for a large one, to be done in a thread.

    Content whose forms are in ``known_forms`` is only hashed. Raises ``BuildError`` (``artifact_rejected``).
    """
    content = read_found(output, found, max_bytes)
    media = media_type(found.path)
    blob = Blob.of(content)
    stored = known_forms.get(blob.sha256, {}) if is_compressible(media) else {}
    return Encoded(
        path=found.path,
        media=media,
        fingerprinted=is_fingerprinted(found.path),
        blob=blob,
        forms={} if stored else compressed_forms(content, media),
        stored_forms=stored,
    )


def compressed_forms(content: bytes, media: str) -> dict[str, Blob]:
    """The forms of ``content`` that are worth keeping; the same content always gives the same forms."""
    if len(content) < MIN_COMPRESSED_BYTES or not is_compressible(media):
        return {}
    import brotli

    mode = brotli.MODE_TEXT if media.endswith("charset=utf-8") else brotli.MODE_GENERIC
    window = {"lgwin": BROTLI_SMALL_WINDOW} if len(content) <= BROTLI_SMALL_BYTES else {}
    forms = {
        "br": brotli.compress(content, mode=mode, quality=BROTLI_QUALITY, **window),
        "gzip": gzip.compress(content, GZIP_LEVEL, mtime=0),
    }
    return {name: Blob.of(form) for name, form in forms.items() if len(form) <= len(content) * WORTHWHILE}
