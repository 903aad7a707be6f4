"""How a site's files are put together for the way into the store."""

import asyncio
from pathlib import PurePosixPath

import pytest

from builder.collect import Found
from builder.publish import BATCH_BYTES, BATCH_FILES, batches
from builder.together import together


def files(*sizes: int) -> list[Found]:
    return [Found(f"/{number}", PurePosixPath(str(number)), size) for number, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([1], [1]),
        ([1] * (2 * BATCH_FILES + 1), [BATCH_FILES, BATCH_FILES, 1]),
        ([1, BATCH_BYTES - 1, 1], [2, 1]),
        ([1, 9 * BATCH_BYTES, 1, 1], [1, 1, 2]),
    ],
    ids=["none", "one", "many", "full", "large"],
)
def test_files_go_in_batches_in_their_order(sizes: list[int], expected: list[int]) -> None:
    found = files(*sizes)
    made = list(batches(found))
    assert [len(batch) for batch in made] == expected
    assert [file for batch in made for file in batch] == found


async def test_the_first_error_ends_the_others() -> None:
    ended = []

    async def wait_for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("waiting")

    async def fail() -> None:
        raise KeyError("the first")

    with pytest.raises(KeyError, match="the first"):
        await together([wait_for_ever(), fail(), wait_for_ever()])
    assert ended == ["waiting", "waiting"]
