"""The Content-Type of a site's file, by its name. The machine's own tables have no say."""

import mimetypes

_MISSING = {
    ".avif": "image/avif",
    ".cjs": "text/javascript",
    ".csv": "text/csv",
    ".eot": "application/vnd.ms-fontobject",
    ".flac": "audio/flac",
    ".geojson": "application/geo+json",
    ".glb": "model/gltf-binary",
    ".gltf": "model/gltf+json",
    ".gz": "application/gzip",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".jsonld": "application/ld+json",
    ".jxl": "image/jxl",
    ".m4a": "audio/mp4",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".otf": "font/otf",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain",
    ".vtt": "text/vtt",
    ".wasm": "application/wasm",
    ".weba": "audio/webm",
    ".webm": "video/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xhtml": "application/xhtml+xml",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
_TEXTUAL = frozenset(
    {
        "application/geo+json",
        "application/json",
        "application/ld+json",
        "application/manifest+json",
        "application/xhtml+xml",
        "application/xml",
        "application/yaml",
        "image/svg+xml",
        "model/gltf+json",
    }
)
_COMPRESSIBLE = _TEXTUAL | {
    "application/vnd.ms-fontobject",
    "application/wasm",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/x-icon",
}

_types = mimetypes.MimeTypes(filenames=())
for _extension, _type in _MISSING.items():
    _types.add_type(_type, _extension)
    _types.encodings_map.pop(_extension, None)


def media_type(name: str) -> str:
    """The type of the file called ``name``, with its charset where it is text."""
    extension = "." + name.rpartition(".")[2].lower()
    found = _types.types_map[True].get(extension, "application/octet-stream")
    return f"{found}; charset=utf-8" if found.startswith("text/") or found in _TEXTUAL else found


def is_compressible(media: str) -> bool:
    """Whether a general-purpose compressor makes such content smaller; images and videos are compressed."""
    essence = media.partition(";")[0]
    return essence.startswith("text/") or essence in _COMPRESSIBLE
