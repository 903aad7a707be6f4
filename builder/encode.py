"""A file's content, its hash, and the compressed forms that are worth keeping."""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from builder.collect import Found, read_found
from builder.fingerprint import is_fingerprinted
from builder.mime import is_compressible, media_type

MIN_COMPRESSED_BYTES = 256
"""Below it a response's headers outweigh what is saved."""

WORTHWHILE = 0.9
"""A form has to be at least a tenth smaller, or it is not kept."""

BROTLI_QUALITY = 9
"""10 and 11 take ten times as long for a few per cent, while somebody waits for a deploy."""

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

    def to_json(self) -> dict[str, object]:
        """The file's entry in the manifest."""
        return {
            **self.blob.to_json(),
            "type": self.media,
            "fingerprinted": self.fingerprinted,
            "encodings": {name: form.to_json() for name, form in self.forms.items()},
        }


def encode(output: Path, found: Found, max_bytes: int) -> Encoded:
    """Reads and compresses one file: seconds of work for a large one, to be done in a thread.

    Raises ``BuildError`` (``artifact_rejected``).
    """
    content = read_found(output, found, max_bytes)
    media = media_type(found.path)
    return Encoded(
        path=found.path,
        media=media,
        fingerprinted=is_fingerprinted(found.path),
        blob=Blob.of(content),
        forms=compressed_forms(content, media),
    )


def compressed_forms(content: bytes, media: str) -> dict[str, Blob]:
    """The forms of ``content`` that are worth keeping; the same content always gives the same forms."""
    if len(content) < MIN_COMPRESSED_BYTES or not is_compressible(media):
        return {}
    import brotli

    mode = brotli.MODE_TEXT if media.endswith("charset=utf-8") else brotli.MODE_GENERIC
    forms = {
        "br": brotli.compress(content, mode=mode, quality=BROTLI_QUALITY),
        "gzip": gzip.compress(content, GZIP_LEVEL, mtime=0),
    }
    return {name: Blob.of(form) for name, form in forms.items() if len(form) <= len(content) * WORTHWHILE}
