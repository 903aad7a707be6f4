"""A grant in the builder's hands, against a real S3 server: what it lets through, and what it does not."""

import base64
import json
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from builder.errors import NotStored, StoreError
from builder.grant import Grant, parse_grant
from builder.store_grant import GrantStore
from scalemesh import keys
from scalemesh.artifacts.grants import GRACE
from scalemesh.artifacts.s3 import MAX_CACHES, S3Store, open_s3_store
from scalemesh.keys import new_id
from scalemesh.model import DeploymentID, ProjectID
from tests.artifacts.s3_server import S3Server
from tests.parts.server import eventually

LIVE = DeploymentID("live1")


@pytest.fixture
async def store(s3_server: S3Server) -> AsyncIterator[S3Store]:
    async with open_s3_store(
        s3_server.bucket,
        endpoint_url=s3_server.endpoint_url,
        access_key_id=s3_server.access_key_id,
        secret_access_key=s3_server.secret_access_key,
    ) as opened:
        yield opened


@pytest.fixture
def project() -> ProjectID:
    return ProjectID(new_id())


async def granted(
    store: S3Store, project: ProjectID, *, manifest: str | None = None, left_s: float = 60
) -> Grant:
    # GRACE comes on top.
    deadline = datetime.now(UTC) + timedelta(seconds=left_s) - GRACE
    return parse_grant(await store.grant(project, manifest, deadline))


async def content(store: GrantStore, key: str) -> bytes:
    return b"".join([chunk async for chunk in store.read(key)])


async def test_it_writes_what_a_build_leaves(store: S3Store, project: ProjectID, tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(b"z" * 3_000_000)
    async with GrantStore(await granted(store, project), project, None) as builder:
        await builder.put(keys.manifest(project, LIVE, 1), b"{}", "application/json")
        await builder.add({keys.blob(project, f"{n:064x}"): b"x" * n for n in range(40)})
        await builder.put_file(f"{keys.caches(project)}a.tar.zst", tmp_path / "archive")
    assert await store.read(keys.manifest(project, LIVE, 1), max_bytes=100) == b"{}"
    assert await store.read(keys.blob(project, f"{7:064x}"), max_bytes=100) == b"x" * 7
    assert len(await store.read(f"{keys.caches(project)}a.tar.zst", max_bytes=2**22)) == 3_000_000


async def test_it_reads_the_live_manifest_and_the_caches(store: S3Store, project: ProjectID) -> None:
    manifest = {"files": {"/": {"sha256": "a", "bytes": 1, "encodings": {"br": {"sha256": "b", "bytes": 1}}}}}
    await store.write(keys.manifest(project, LIVE, 1), json.dumps(manifest).encode())
    await store.write(f"{keys.caches(project)}a.tar.zst", b"cached")
    grant = await granted(store, project, manifest=keys.manifest(project, LIVE, 1))
    async with GrantStore(grant, project, keys.manifest(project, LIVE, 1)) as builder:
        assert await content(builder, f"{keys.caches(project)}a.tar.zst") == b"cached"
        blobs = await builder.list_objects(f"__output/{project}/blobs/")
        assert {blob.name for blob in blobs} == {"a", "b"}
        with pytest.raises(NotStored):
            await content(builder, f"{keys.caches(project)}b.tar.zst")


async def test_without_a_live_deployment_nothing_is_known_of_the_store(
    store: S3Store, project: ProjectID
) -> None:
    async with GrantStore(await granted(store, project), project, None) as builder:
        assert await builder.list_objects(f"__output/{project}/blobs/") == []


@pytest.mark.parametrize("elsewhere", ["__output/{}x/a", "__output/another/a", "a", "__output/a"])
async def test_another_prefix_is_refused(store: S3Store, project: ProjectID, elsewhere: str) -> None:
    async with GrantStore(await granted(store, project), project, None) as builder:
        with pytest.raises(StoreError, match="AccessDenied"):
            await builder.put(elsewhere.format(project), b"x", "text/plain")


async def test_a_read_of_anything_else_is_refused(store: S3Store, project: ProjectID) -> None:
    """With the address of another object: none is signed without its key."""
    await store.write(keys.manifest(project, LIVE, 1), b"{}")
    await store.write(keys.blob(project, "secret"), b"secret")
    grant = await granted(store, project, manifest=keys.manifest(project, LIVE, 1))
    address = grant.readable[keys.manifest(project, LIVE, 1)]
    other = keys.blob(project, "secret")
    forged = {
        other: address.replace(keys.manifest(project, LIVE, 1), other),
        "unsigned": f"{address.partition('/__output')[0]}/{other}",
        "listing": f"{address.partition('/__output')[0]}?list-type=2&prefix=__output/{project}/",
    }
    async with GrantStore(
        Grant(grant.post_url, grant.post_fields, forged), project, keys.manifest(project, LIVE, 1)
    ) as builder:
        for key in forged:
            with pytest.raises(StoreError, match=r"SignatureDoesNotMatch|AccessDenied"):
                await content(builder, key)


async def test_a_late_use_is_refused(store: S3Store, project: ProjectID) -> None:
    await store.write(keys.manifest(project, LIVE, 1), b"{}")
    grant = await granted(store, project, manifest=keys.manifest(project, LIVE, 1), left_s=1)
    async with GrantStore(grant, project, keys.manifest(project, LIVE, 1)) as builder:

        async def is_refused(use: Callable[[], Coroutine[Any, Any, object]]) -> bool:
            try:
                await use()
            except StoreError as error:
                return "AccessDenied" in str(error) or "Expired" in str(error)
            return False

        # The form ends with a second of the clock, the address so many seconds after it was signed.
        for use in (
            lambda: builder.put(f"__output/{project}/late", b"x", "text/plain"),
            lambda: content(builder, keys.manifest(project, LIVE, 1)),
        ):
            await eventually(partial(is_refused, use))


async def test_more_than_an_object_may_have_is_refused(store: S3Store, project: ProjectID) -> None:
    """By the policy that the server signed: a builder that writes another one has no signature for it."""
    grant = await granted(store, project)
    policy = base64.b64decode(grant.post_fields["policy"]).decode()
    assert '["content-length-range",0,1073741824]' in policy.replace(" ", "")
    wider = base64.b64encode(policy.replace("1073741824", "9999999999999").encode()).decode()
    forged = Grant(grant.post_url, {**grant.post_fields, "policy": wider}, {})
    async with GrantStore(forged, project, None) as builder:
        with pytest.raises(StoreError, match="SignatureDoesNotMatch"):
            await builder.put(f"__output/{project}/a", b"x", "text/plain")


async def test_only_the_newest_caches_are_kept(store: S3Store, project: ProjectID) -> None:
    names = [f"{keys.caches(project)}{n}.tar.zst" for n in range(MAX_CACHES + 2)]
    for name in names:
        await store.write(name, b"x")
    grant = await granted(store, project)
    assert len(grant.readable) == MAX_CACHES
    assert {name for name in names if await store.exists(name)} == set(grant.readable)


async def test_a_grant_with_a_roles_token_leaves_room_for_a_build(
    s3_server: S3Server, store: S3Store, project: ProjectID, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(MAX_CACHES):
        await store.write(f"{keys.caches(project)}dependencies-{n:064x}.tar.zst", b"x")
    plain = await store.grant(project, LIVE, datetime.now(UTC))
    token = base64.b64encode(bytes(range(256)) * 4).decode()
    text = zlib.decompress(base64.urlsafe_b64decode(plain)).decode()
    tokened = json.loads(text)
    tokened["post"]["fields"]["x-amz-security-token"] = token
    tokened["get"] = {key: f"{url}&X-Amz-Security-Token={token}" for key, url in tokened["get"].items()}
    packed = base64.urlsafe_b64encode(zlib.compress(json.dumps(tokened).encode(), 9))
    assert len(plain) < 3000
    assert len(packed) < 5000


@pytest.mark.parametrize(
    "text",
    ["x", "!", base64.urlsafe_b64encode(zlib.compress(b"[]")).decode(), zlib.compress(b"{}").hex()],
)
def test_what_is_no_grant_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError):
        parse_grant(text)


def test_a_grant_that_would_fill_the_memory_is_none() -> None:
    bomb = base64.urlsafe_b64encode(zlib.compress(b" " * 10_000_000)).decode()
    with pytest.raises(ValueError, match="too long"):
        parse_grant(bomb)
