import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from builder.collect import Found, collect, read_found
from builder.contract import Limits
from builder.errors import BuildError, Code

LIMITS = Limits(memory_bytes=1, processes=1, repo_bytes=1, files=10, file_bytes=1000, site_bytes=2000)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "site").mkdir()
    (tmp_path / "outside.txt").write_text("outside")
    (tmp_path / "site/index.html").write_text("hello")
    return tmp_path / "site"


def paths(output: Path, *, is_source: bool = False) -> list[str]:
    return [found.path for found in collect(output, LIMITS, is_source=is_source).files]


def test_files_are_listed_sorted_with_their_sizes(output: Path) -> None:
    (output / "b/c").mkdir(parents=True)
    (output / "b/c/é x.txt").write_text("12")
    (output / "a.txt").touch()
    found = collect(output, LIMITS, is_source=False).files
    assert [(file.path, file.bytes) for file in found] == [
        ("/a.txt", 0),
        ("/b/c/é x.txt", 2),
        ("/index.html", 5),
    ]


def test_names_of_tools_are_left_out(output: Path) -> None:
    for name in (".git/config", ".env", ".env.local", "node_modules/a.js", ".well-known/x", "a/.git/config"):
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).touch()
    (output / "_headers").touch()
    assert paths(output) == ["/.well-known/x", "/index.html", "/node_modules/a.js"]
    assert paths(output, is_source=True) == ["/.well-known/x", "/index.html"]


def test_rule_files_are_beside_the_site_and_no_less_suspect(output: Path) -> None:
    (output / "d").mkdir()
    (output / "d/_headers").touch()
    (output / "_headers").symlink_to("index.html")
    (output / "_redirects").write_text("/a /b")
    collected = collect(output, LIMITS, is_source=False)
    assert [found.path for found in collected.files] == ["/d/_headers", "/index.html"]
    assert {found.path: read_found(output, found, 1000) for found in collected.rule_files} == {
        "/_headers": b"hello",
        "/_redirects": b"/a /b",
    }
    (output / "_redirects").unlink()
    (output / "_redirects").hardlink_to(output.parent / "outside.txt")
    with pytest.raises(BuildError, match="_redirects is a hard link"):
        collect(output, LIMITS, is_source=False)


def test_a_link_to_a_file_of_the_site_is_that_file(output: Path) -> None:
    (output / "a").mkdir()
    (output / "a/again.html").symlink_to("../index.html")
    found = collect(output, LIMITS, is_source=False).files[0]
    assert found.path == "/a/again.html"
    assert read_found(output, found, 1000) == b"hello"


def test_two_names_of_one_file_within_the_site_are_fine(output: Path) -> None:
    (output / "second.html").hardlink_to(output / "index.html")
    assert paths(output) == ["/index.html", "/second.html"]


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        # A socket's path has to be short, which a test's directory is not.
        before = Path.cwd()
        os.chdir(path.parent)
        try:
            listening.bind(path.name)
        finally:
            os.chdir(before)


BAD: dict[str, Callable[[Path], object]] = {
    "a link out": lambda path: path.symlink_to("/etc/passwd"),
    "a link up": lambda path: path.symlink_to("../outside.txt"),
    "a link to a directory": lambda path: path.symlink_to("."),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a hard link out": lambda path: path.hardlink_to(path.parent.parent / "outside.txt"),
    "a fifo": os.mkfifo,
    "a socket": _socket,
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_plain_file_is_rejected_by_name(output: Path, kind: str) -> None:
    (output / "d").mkdir()
    BAD[kind](output / "bad-one")
    with pytest.raises(BuildError, match="bad-one") as caught:
        collect(output, LIMITS, is_source=False)
    assert caught.value.failure.code is Code.ARTIFACT_REJECTED


@pytest.mark.parametrize("name", [b"bad-\xff", b"bad-\n", b"bad-\x7f"])
def test_a_name_that_no_address_can_spell_is_rejected(output: Path, name: bytes) -> None:
    Path(os.fsdecode(os.fsencode(output) + b"/" + name)).touch()
    with pytest.raises(BuildError, match="bad-") as caught:
        collect(output, LIMITS, is_source=False)
    caught.value.failure.message.encode()


def test_a_link_to_what_is_not_published_is_rejected(output: Path) -> None:
    (output / ".env").write_text("SECRET=1")
    (output / "env.txt").symlink_to(".env")
    with pytest.raises(BuildError, match=r"env\.txt"):
        collect(output, LIMITS, is_source=False)


def test_deep_directories_are_rejected(output: Path) -> None:
    (output / "/".join("d" * 70)).mkdir(parents=True)
    with pytest.raises(BuildError, match="nested"):
        collect(output, replace(LIMITS, files=100), is_source=False)


def _sparse(output: Path) -> None:
    with (output / "huge").open("wb") as file:
        file.truncate(1024**4)


def _many(output: Path) -> None:
    for number in range(11):
        (output / str(number)).touch()


def _large(output: Path) -> None:
    for number in range(3):
        (output / str(number)).write_bytes(b"x" * 900)


@pytest.mark.parametrize(
    ("make", "code", "says"),
    [
        (_sparse, Code.LIMIT_FILE_BYTES, "huge has 1,099,511,627,776 bytes; the limit for a file is 1,000"),
        (_many, Code.LIMIT_FILES, "more than 10 files"),
        (_large, Code.LIMIT_SITE_BYTES, "larger than 2,000 bytes"),
    ],
)
def test_a_limit_is_told_with_its_value(
    output: Path, make: Callable[[Path], None], code: Code, says: str
) -> None:
    make(output)
    with pytest.raises(BuildError, match=says) as caught:
        collect(output, LIMITS, is_source=False)
    assert caught.value.failure.code is code


def test_a_file_that_changed_or_became_a_link_is_not_read(output: Path) -> None:
    (found,) = collect(output, LIMITS, is_source=False).files
    (output / "index.html").write_text("longer than before")
    with pytest.raises(BuildError, match="changed"):
        read_found(output, found, 1000)
    (output / "index.html").unlink()
    (output / "index.html").symlink_to("../outside.txt")
    with pytest.raises(BuildError, match="can't be read"):
        read_found(output, Found("/index.html", found.source, 7), 1000)
