"""Sites without builds: the same bytes as blobs of ours and as others' directories, and rows by SQL."""

import os
import random
from collections.abc import Sequence
from pathlib import Path

import brotli

from scalemesh import keys
from scalemesh.artifacts import DirectoryStore
from scalemesh.db.pool import Pool
from scalemesh.model import ProjectID
from tests.sites.site import File, Files, publish, sha256

MIX_FILES = 1000
SITES = 1000
SITE_FILES = 20
SMALL = "/index.html"
ASSET = "/asset.js"
PLAIN_SITE = "hot"
LARGE_BYTES = 5 * 1024 * 1024


def hot_site() -> Files:
    source = random.Random(1)
    asset = "".join(f"export const n{number} = {source.random()};\n" for number in range(3000)).encode()
    mix = {
        f"/page-{number}.html": b"<!doctype html><p>" + source.randbytes(500 + number)
        for number in range(MIX_FILES)
    }
    small = b"<!doctype html><p>" + b"x" * 1000
    return {
        SMALL: small,
        ASSET: File(asset[:61_440], encodings={"br": brotli.compress(asset[:61_440])}),
        **mix,
    }


def tail_site(number: int) -> Files:
    source = random.Random(number)
    return {f"/f{file}.html": source.randbytes(source.randint(500, 6000)) for file in range(SITE_FILES)}


def s3_site(count: int) -> Files:
    """``count`` files of 10 KB that are asked for once each, and a large one."""
    source = random.Random(2)
    return {
        "/large.bin": source.randbytes(LARGE_BYTES),
        **{f"/cold-{number}.bin": source.randbytes(10_000) for number in range(count)},
    }


class UnforcedStore(DirectoryStore):
    """Does not wait for the disk: these files are thrown away."""

    async def write(self, key: str, data: bytes) -> None:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


async def put_site(artifacts: Path, directories: Path, slug: str, files: Files) -> None:
    """Into our store, and under ``{slug}.localhost`` for the others, as links to the same bytes."""
    await publish(UnforcedStore(artifacts), files, project=slug, deployment=f"d{slug}")
    directory = directories / f"{slug}.localhost"
    directory.mkdir(parents=True)
    for path, file in files.items():
        known = file if isinstance(file, File) else File(file)
        os.link(_blob(artifacts, slug, known.content), directory / path[1:])
        if "br" in known.encodings:
            os.link(_blob(artifacts, slug, known.encodings["br"]), directory / f"{path[1:]}.br")


def _blob(artifacts: Path, slug: str, data: bytes) -> Path:
    return artifacts / keys.blob(ProjectID(slug), sha256(data))


async def add_rows(pool: Pool, slugs: Sequence[str]) -> None:
    """A project of each slug, which is its id too, with a live deployment."""
    await pool.execute(
        """
        INSERT INTO users (id, name, email, email_key, password_hash)
        VALUES ('bench', 'Bench', 'bench@example.com', 'bench@example.com', 'none')
        ON CONFLICT DO NOTHING
        """
    )
    await pool.execute(
        """
        INSERT INTO projects (id, user_id, name, slug, git_url)
        SELECT slug, 'bench', slug, slug, 'https://example.com/x.git'
        FROM unnest($1::text[]) AS slug
        """,
        slugs,
    )
    await pool.execute(
        """
        INSERT INTO deployments (id, project_id, number, status, target, attempt)
        SELECT 'd' || slug, slug, 1, 'ready', 'production', 1
        FROM unnest($1::text[]) AS slug
        """,
        slugs,
    )
    await pool.execute(
        """
        UPDATE projects
        SET production_id = 'd' || id
        WHERE id = ANY($1::text[])
        """,
        slugs,
    )
