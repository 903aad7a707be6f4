"""The artifact keys that the builder writes, and no others. The server names them too, in its own code."""


def blobs(project_id: str) -> str:
    """What every blob's key begins with; a sha256 in lowercase hex follows."""
    return f"__output/{project_id}/blobs/"


def manifest(project_id: str, deployment_id: str, attempt: int) -> str:
    name = "manifest.json" if attempt == 1 else f"manifest-{attempt}.json"
    return f"__output/{project_id}/{deployment_id}/{name}"


def build_log(project_id: str, deployment_id: str, attempt: int) -> str:
    name = "build.log.gz" if attempt == 1 else f"build-{attempt}.log.gz"
    return f"__output/{project_id}/{deployment_id}/{name}"


def caches(project_id: str) -> str:
    """What every archive's key begins with; ``{key}.tar.zst`` follows."""
    return f"__output/{project_id}/cache/"
