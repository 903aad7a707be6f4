"""What is the S3 store's own: how it is addressed, and how it fails."""

import pytest

from scalemesh.artifacts.s3 import open_s3_store
from scalemesh.artifacts.store import StoreUnavailable
from tests.artifacts.s3_server import S3Server
from tests.parts.ports import unused_port


async def test_its_url_names_the_bucket(s3_server: S3Server) -> None:
    async with open_s3_store("artifacts", endpoint_url=s3_server.endpoint_url) as store:
        assert store.url == "s3://artifacts"


@pytest.mark.parametrize(
    ("bucket", "secret"),
    [("no-such-bucket", "test-secret"), ("artifacts", "wrong")],
    ids=["bucket", "secret"],
)
async def test_a_refusal_is_an_unavailable_store(s3_server: S3Server, bucket: str, secret: str) -> None:
    async with open_s3_store(
        bucket,
        endpoint_url=s3_server.endpoint_url,
        access_key_id=s3_server.access_key_id,
        secret_access_key=secret,
    ) as store:
        with pytest.raises(StoreUnavailable):
            await store.check()
        with pytest.raises(StoreUnavailable, match="S3 refused"):
            await store.read("__output/a", max_bytes=1)


async def test_no_answer_is_an_unavailable_store() -> None:
    async with open_s3_store(
        "artifacts",
        endpoint_url=f"http://127.0.0.1:{unused_port()}",
        access_key_id="a",
        secret_access_key="b",
    ) as store:
        with pytest.raises(StoreUnavailable, match="did not answer"):
            await store.check()
        with pytest.raises(StoreUnavailable, match="did not answer"):
            await store.write("__output/a", b"x")
        with pytest.raises(StoreUnavailable, match="did not answer"):
            await store.delete_prefix("__output/")
