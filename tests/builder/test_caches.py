"""What builds of one project leave to each other: dependencies, a framework's cache, compressed forms."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from tests.artifacts.s3_server import S3Server
from tests.builder.running import PROJECT, Builder, Built
from tests.parts.git import Files, GitServer, Symlink

LOCK = {
    "name": "site",
    "version": "1.0.0",
    "lockfileVersion": 3,
    "requires": True,
    "packages": {
        "": {"name": "site", "version": "1.0.0", "dependencies": {"left": "file:left"}},
        "left": {"version": "1.0.0"},
        "node_modules/left": {"resolved": "left", "link": True},
    },
}
"""A dependency that npm installs without a registry."""

BY_HAND = {
    "INSTALL_COMMAND": "mkdir -p node_modules && cp -r left node_modules/",
    "BUILD_COMMAND": "node build.js",
}
"""Takes a tenth of npm's time where the test is about something else."""

RESTORED = "Dependencies: restored from cache ("

BUILD = """
const left = require('left')
const fs = require('fs')
fs.mkdirSync('dist', { recursive: true })
fs.mkdirSync('node_modules/.cache/tool', { recursive: true })
const file = 'node_modules/.cache/tool/count'
const count = fs.existsSync(file) ? Number(fs.readFileSync(file, 'utf8')) + 1 : 1
fs.writeFileSync(file, String(count))
console.log('build number ' + count)
fs.writeFileSync('dist/index.html', left + fs.readFileSync('words.txt', 'utf8'))
"""


def site(words: str = "one", scripts: dict[str, str] | None = None) -> Files:
    package = {
        "name": "site",
        "version": "1.0.0",
        "scripts": {"build": "node build.js", **(scripts or {})},
        "dependencies": {"left": "file:left"},
    }
    return {
        "package.json": json.dumps(package),
        "package-lock.json": json.dumps(LOCK),
        "left/package.json": json.dumps({"name": "left", "version": "1.0.0"}),
        "left/index.js": "module.exports = 'left: '",
        "build.js": BUILD,
        "words.txt": words,
    }


MANIFEST = f"__output/{PROJECT}/dep1/manifest.json"


def archives(builder: Builder, project: str = PROJECT) -> list[Path]:
    return sorted((builder.artifacts / "__output" / project / "cache").glob("*.tar.zst"))


def dependencies_of(builder: Builder) -> Path:
    (path,) = [path for path in archives(builder) if path.name.startswith("dependencies-")]
    return path


def raw(archive: Path) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(archive.read_bytes())


def page(built: Built) -> str:
    assert built.exit == 0, built.text
    assert built.manifest is not None
    return built.blob(built.manifest["files"]["/index.html"]["sha256"]).decode()


async def test_a_changed_source_file_needs_no_install(builder: Builder, git_server: GitServer) -> None:
    url = await git_server.make_repo("cached", site())
    first = await builder.run(url)
    assert page(first) == "left: one"
    assert "$ npm ci" in first.text
    await git_server.commit("cached", {"words.txt": "two"}, "Words")
    second = await builder.run(url)
    assert page(second) == "left: two"
    assert "Dependencies: restored from cache (" in second.text
    assert "install skipped" in second.text
    assert "$ npm ci" not in second.text


async def test_dependencies_other_than_the_newest_are_found_again(
    builder: Builder, git_server: GitServer
) -> None:
    url = await git_server.make_repo("two-locks", site())
    other = json.dumps({**LOCK, "version": "2.0.0"})
    texts: list[str] = []
    for lock in (json.dumps(LOCK), other, json.dumps(LOCK), other):
        await git_server.commit(
            "two-locks", {"package-lock.json": lock, "words.txt": str(len(texts))}, "Lock"
        )
        built = await builder.run(url, **BY_HAND)
        assert page(built) == f"left: {len(texts)}"
        texts.append(built.text)
    assert [RESTORED in text for text in texts] == [False, False, True, True]


async def test_what_tools_keep_in_node_modules_is_kept_apart(builder: Builder, git_server: GitServer) -> None:
    url = await git_server.make_repo("framework", site())
    texts = [(await builder.run(url)).text for _ in range(3)]
    assert [line for text in texts for line in text.splitlines() if line.startswith("build number")] == [
        "build number 1",
        "build number 2",
        "build number 3",
    ]
    assert [path.name.partition("-")[0] for path in archives(builder)] == ["dependencies", "framework"]


async def test_without_cache_everything_is_done_again_and_kept(
    builder: Builder, git_server: GitServer
) -> None:
    url = await git_server.make_repo("no-cache", site())
    await builder.run(url)
    dependencies_of(builder).write_bytes(b"old")
    again = await builder.run(url, NO_CACHE="1")
    assert "$ npm ci" in again.text
    assert "no cache" in again.text
    assert "build number 1" in again.text
    assert "install skipped" in (await builder.run(url)).text


async def test_a_failed_build_leaves_its_dependencies(builder: Builder, git_server: GitServer) -> None:
    url = await git_server.make_repo("failing", {**site(), "build.js": "process.exit(3)"})
    assert (await builder.run(url)).exit == 1
    await git_server.commit("failing", {"build.js": BUILD}, "Mended")
    assert "install skipped" in (await builder.run(url)).text


async def test_a_failed_install_leaves_nothing(builder: Builder, git_server: GitServer) -> None:
    url = await git_server.make_repo("bad-install", site(scripts={"postinstall": "exit 1"}))
    assert (await builder.run(url)).code == "install_failed"
    assert archives(builder) == []


async def test_a_script_of_ones_own_runs_over_the_restored_tree(
    builder: Builder, git_server: GitServer
) -> None:
    files = site(scripts={"postinstall": "cp words.txt generated.txt && echo generating"})
    url = await git_server.make_repo("scripts", files)
    await builder.run(url)
    await git_server.commit("scripts", {"words.txt": "two"}, "Words")
    second = await builder.run(url)
    assert "restored from cache" in second.text
    assert "$ npm install --no-save --prefer-offline" in second.text
    assert "postinstall in package.json may read the sources" in second.text
    assert "\ngenerating" in second.text
    assert page(second) == "left: two"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def short(path: Path) -> None:
    """Whole members, and then nothing."""
    path.write_bytes(zstandard.compress(raw(path)[:1024]))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def overwrite(path: Path) -> None:
    path.write_bytes(b"x" * 99)


@pytest.mark.parametrize("damage", [cut, flip, short, empty, overwrite])
async def test_a_damaged_archive_is_told_and_replaced(
    builder: Builder, git_server: GitServer, damage: Callable[[Path], object], request: pytest.FixtureRequest
) -> None:
    url = await git_server.make_repo(f"damaged-{request.node.callspec.id}", site())
    await builder.run(url, **BY_HAND)
    damage(dependencies_of(builder))
    second = await builder.run(url, **BY_HAND)
    assert page(second) == "left: one"
    assert "Dependencies: the cache is damaged or out of reach, so it is discarded" in second.text
    assert RESTORED not in second.text
    assert RESTORED in (await builder.run(url, **BY_HAND)).text


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    content = b"stolen" if kind == tarfile.REGTYPE else b""
    info.type, info.linkname, info.size, info.mode = kind, target, len(content), 0o6777
    info.uid = info.gid = 0
    return info, content


HOSTILE = {
    "a way up": lambda outside: [member(f"../../../../../../../..{outside}/evil")],
    "an absolute name": lambda outside: [member(f"{outside}/evil")],
    "through a link": lambda outside: [
        member("repo/node_modules/way", tarfile.SYMTYPE, str(outside)),
        member("repo/node_modules/way/evil"),
    ],
    "through a relative link": lambda outside: [
        member("repo/node_modules/way", tarfile.SYMTYPE, f"../../../../../../..{outside}"),
        member("repo/node_modules/way/evil"),
    ],
    "a hard link": lambda outside: [
        member("repo/node_modules/secret", tarfile.LNKTYPE, f"{outside}/secret"),
        member("repo/node_modules/secret"),
    ],
    "a device": lambda outside: [member("repo/node_modules/disk", tarfile.BLKTYPE)],
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_archive_stays_in_the_workspace(
    builder: Builder, git_server: GitServer, tmp_path: Path, name: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o777)
    outside.chmod(0o777)
    (outside / "secret").write_text("secret")
    (outside / "secret").chmod(0o666)
    script = "const fs = require('fs'); fs.mkdirSync('dist'); fs.writeFileSync('dist/index.html', 'fine')"
    url = await git_server.make_repo(f"hostile-{name.replace(' ', '-')}", {**site(), "build.js": script})
    await builder.run(url, **BY_HAND)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for info, content in HOSTILE[name](outside):
            archive.addfile(info, io.BytesIO(content))
    dependencies_of(builder).write_bytes(zstandard.compress(buffer.getvalue()))
    assert page(await builder.run(url, **BY_HAND)) == "fine"
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == "secret"


async def test_a_link_of_the_build_takes_nothing_into_the_archive(
    builder: Builder, git_server: GitServer, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_text("not to be read")
    script = (
        f"const fs = require('fs'); {BUILD}\nfs.symlinkSync('{secret}', 'node_modules/way');"
        "fs.rmSync('node_modules/.cache', { recursive: true });"
        f"fs.symlinkSync('{secret}', 'node_modules/.cache')"
    ).replace("const fs = require('fs')\n", "\n")
    url = await git_server.make_repo("links", {**site(), "build.js": script})
    assert (await builder.run(url, **BY_HAND)).exit == 0
    content = raw(dependencies_of(builder))
    assert b"not to be read" not in content
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert archive.getmember("repo/node_modules/way").issym()
    assert len(archives(builder)) == 1


async def test_a_link_in_the_repository_leads_no_archive_out(
    builder: Builder, git_server: GitServer, tmp_path: Path
) -> None:
    """The archive is of an honest build; the next commit puts a link where its tree goes."""
    (tmp_path / "outside").mkdir()
    url = await git_server.make_repo("led-out", {**site(), "packages/a/package.json": "{}"})
    await builder.run(url, **BY_HAND)
    await git_server.commit("led-out", {"node_modules": Symlink(str(tmp_path / "outside"))}, "A link")
    await builder.run(url, **BY_HAND)
    assert list((tmp_path / "outside").iterdir()) == []


async def test_two_projects_never_share(builder: Builder, git_server: GitServer) -> None:
    url = await git_server.make_repo("shared", site())
    await builder.run(url, **BY_HAND)
    other = await builder.run(url, projectID="proj2", **BY_HAND)
    assert RESTORED not in other.live
    mine, others = archives(builder), archives(builder, "proj2")
    assert len(mine) == len(others) == 2
    assert not {path.name for path in mine} & {path.name for path in others}


async def test_caches_go_to_s3(builder: Builder, git_server: GitServer, s3_server: S3Server) -> None:
    url = await git_server.make_repo("cached-s3", site())
    store = {
        "ARTIFACTS": f"s3://{s3_server.bucket}",
        "S3_ENDPOINT_URL": s3_server.endpoint_url,
        "AWS_ACCESS_KEY_ID": s3_server.access_key_id,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_access_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "projectID": "cached-in-s3",
        **BY_HAND,
    }
    assert RESTORED not in (await builder.run(url, **store)).live
    second = await builder.run(url, **store)
    assert RESTORED in second.live
    assert "cache" not in second.errors


async def test_known_content_is_not_compressed_again(builder: Builder, git_server: GitServer) -> None:
    words = "the same words again and again " * 50
    url = await git_server.make_repo("forms", {"index.html": words, "a.txt": "a"})
    first = await builder.run(url)
    assert first.manifest is not None
    forms = first.manifest["files"]["/index.html"]["encodings"]
    assert set(forms) == {"br", "gzip"}
    # A mark that only the earlier manifest can have given.
    path = builder.artifacts / MANIFEST
    path.write_text(path.read_text().replace(forms["br"]["sha256"], forms["gzip"]["sha256"]))
    await git_server.commit("forms", {"moved.html": words}, "The same content elsewhere")
    second = await builder.run(url, DEPLOYMENT_ID="dep1", PREVIOUS_MANIFEST=MANIFEST)
    assert second.manifest is not None
    for name in ("/index.html", "/moved.html"):
        assert second.manifest["files"][name]["encodings"]["br"]["sha256"] == forms["gzip"]["sha256"]
    assert "0 new blobs, 0 bytes uploaded." in second.text
    third = await builder.run(url, PREVIOUS_MANIFEST=MANIFEST, NO_CACHE="1")
    assert third.manifest is not None
    assert third.manifest["files"]["/index.html"]["encodings"] == forms


async def test_a_damaged_manifest_is_no_help_and_no_harm(builder: Builder, git_server: GitServer) -> None:
    url = await git_server.make_repo("bad-manifest", {"index.html": "words " * 100})
    await builder.run(url)
    path = builder.artifacts / MANIFEST
    for content in ("", "[]", '{"files": {"/a": {"sha256": "x", "encodings": 5}}}', '{"files": 1}'):
        path.write_text(content)
        built = await builder.run(url, PREVIOUS_MANIFEST=MANIFEST, DEPLOYMENT_ID="dep2")
        assert built.exit == 0, built.live
