"""Builds against the same commands typed by hand, the way of 2,000 files into a store, and ``limits``.

By hand: ``git clone --depth 1``, ``npm ci`` and ``npm run build``, one after the other, in a new directory.
The first one has an npm cache that is empty, like the builder's first; the later ones have npm's own cache
full, as it is on a developer's machine: once with the Node.js on PATH, which is what a hand gets, and once
with the one that builds get, the newest here. Deploys are timed from POST to ready.
"""

import asyncio
import os
import random
import subprocess
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from statistics import median

from bench import limits
from bench.figures import Figure
from bench.first_deploy import server
from builder import keys
from builder.collect import collect
from builder.contract import Contract, read_contract
from builder.earlier import read_earlier
from builder.host import Node, find_nodes
from builder.presets import STATIC
from builder.publish import put_manifest, upload
from builder.site_rules import SiteRules
from builder.store import open_store
from builder.toolchain import link_npm
from tests.artifacts.s3_server import run_s3_server
from tests.parts.git import GitServer
from tests.parts.server import Client

_EXAMPLE = Path(__file__).resolve().parents[1] / "examples/vite-react"
_ROUNDS = 3
_FILES = 2000
_SOURCE = "src/main.jsx"


async def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "repositories").mkdir()
        with GitServer.serve(root / "repositories") as git:
            # Uploads before builds: without a journal ext4 passes over each inode that was freed of late, and
            # after a removed node_modules making a file takes twice the time for minutes.
            uploads = await _uploads(root)
            return [*await _builds(root, git), *uploads, *await limits.measure(root, git)]


async def _builds(root: Path, git: GitServer) -> list[Figure]:
    """In rounds of all kinds, so that a busy minute of the machine or the registry strikes them alike."""
    files = {
        str(path.relative_to(_EXAMPLE)): path.read_bytes()
        for path in sorted(_EXAMPLE.rglob("*"))
        if path.is_file() and not {"node_modules", "dist"} & set(path.parts)
    }
    url = await git.make_repo("vite-react", files)
    cold, warm, newest, first, changed, same = [], [], [], [], [], []
    node = (await find_nodes())[0]
    async with server(root / "data") as (_, client, _):
        await client.sign_up()
        for number in range(_ROUNDS):
            home = root / f"home-{number}"
            cold.append(await asyncio.to_thread(_by_hand, url, root / f"cold-{number}", home))
            project = await client.project(url)
            first.append(await _deploy(client, project["projectID"]))
            warm.append(await asyncio.to_thread(_by_hand, url, root / f"warm-{number}", home))
            newest.append(await asyncio.to_thread(_by_hand, url, root / f"newest-{number}", home, node))
            source = files[_SOURCE] + f"\nconsole.log('round {number}')\n".encode()
            await git.commit("vite-react", {_SOURCE: source}, "One line")
            changed.append(await _deploy(client, project["projectID"]))
            same.append(await _deploy(client, project["projectID"]))
    by_hand_cold, by_hand = median(cold), median(warm)
    return [
        Figure(f"by hand, npm's cache empty, median of {_ROUNDS}", by_hand_cold, None, "s"),
        Figure("by hand, npm's cache full", by_hand, None, "s"),
        Figure(f"by hand, npm's cache full, Node.js {node.version}", median(newest), None, "s"),
        Figure("first deploy (npm's cache empty)", median(first), 1.1 * by_hand_cold + 1, "s"),
        Figure("deploy of a one-line change", median(changed), 0.35 * by_hand, "s"),
        Figure("deploy without a change", median(same), 0.35 * by_hand, "s"),
        Figure("first deploy / by hand, empty", median(first) / by_hand_cold, None, "times"),
        Figure("one-line change / by hand, full", median(changed) / by_hand, 0.35, "times"),
        Figure("one-line change / by hand, empty", median(changed) / by_hand_cold, None, "times"),
        Figure(
            "one-line change / by hand, the same Node.js", median(changed) / median(newest), None, "times"
        ),
    ]


def _by_hand(url: str, directory: Path, home: Path, node: Node | None = None) -> float:
    """Seconds. ``node`` comes before the one on PATH."""
    home.mkdir(exist_ok=True)
    environment = {**os.environ, "HOME": str(home)}
    if node is not None and node.prefix is not None:
        tools = home / "bin"
        tools.mkdir(exist_ok=True)
        link_npm(tools, PurePosixPath(node.prefix) / "bin")
        environment["PATH"] = f"{tools}:{node.prefix}/bin:{environment['PATH']}"
    began = time.monotonic()
    for command, cwd in (
        (["git", "clone", "--quiet", "--depth", "1", url, str(directory)], home),
        (["npm", "ci", "--no-audit", "--no-fund"], directory),
        (["npm", "run", "build"], directory),
    ):
        subprocess.run(command, cwd=cwd, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


async def _deploy(client: Client, project_id: str) -> float:
    began = time.monotonic()
    deployment_id = await client.deploy(project_id)
    ended = await client.ended(deployment_id, within_s=300)
    took = time.monotonic() - began
    assert ended["status"] == "ready", await client.log(deployment_id)
    # Saving the caches goes on after that, and would take from what is measured next.
    await asyncio.sleep(3)
    return took


async def _uploads(root: Path) -> list[Figure]:
    site = root / "site"
    await asyncio.to_thread(_make_site, site)
    contract = read_contract(
        {"GITHUB_REPO_URL": "https://example.com/a/b", "projectID": "bench"}, now=datetime.now(UTC)
    )
    directories = [replace(contract, artifacts=str(root / f"artifacts-{n}")) for n in range(_ROUNDS)]
    in_directory = median([await _publish(each, site) for each in directories])
    manifest = keys.manifest(contract.project_id, contract.deployment_id, contract.attempt)
    again = replace(directories[0], previous_manifest=manifest, deployment_id="again")
    unchanged = await _publish(again, site)
    (root / "s3").mkdir()
    async with run_s3_server(root / "s3") as s3:
        os.environ |= {
            "AWS_ACCESS_KEY_ID": s3.access_key_id,
            "AWS_SECRET_ACCESS_KEY": s3.secret_access_key,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        bucket = replace(contract, artifacts=f"s3://{s3.bucket}", s3_endpoint_url=s3.endpoint_url)
        in_s3 = median(
            [await _publish(replace(bucket, project_id=f"bench{n}"), site) for n in range(_ROUNDS)]
        )
    what = f"{_FILES:,} files, median of {_ROUNDS}: collect, compress, upload"
    return [
        Figure(f"{what} into a directory", in_directory, 3.0, "s"),
        Figure("the same again, nothing changed", unchanged, 3.0, "s"),
        Figure(f"{what} to a real S3 server", in_s3, 6.0, "s"),
    ]


async def _publish(contract: Contract, site: Path) -> float:
    """Seconds from a built site to its manifest. What the store has is read before: a build does it early."""
    async with open_store(contract) as store:
        earlier = await read_earlier(contract, store)
        began = time.monotonic()
        found = await asyncio.to_thread(collect, site, contract.limits, is_source=False)
        uploaded = await upload(contract, store, site, found.files, earlier)
        await put_manifest(contract, store, uploaded.files, SiteRules(), commit="0" * 40, preset=STATIC)
        took = time.monotonic() - began
    assert len(uploaded.files) == _FILES
    return took


def _make_site(site: Path) -> None:
    """What a documentation site is made of: pages of 6 KB, some scripts of 20 KB and pictures of 30 KB."""
    source = random.Random(1)
    words = ["".join(source.choices("abcdefghijklmnoprstuvw", k=source.randint(2, 9))) for _ in range(2000)]
    for number in range(_FILES):
        directory = site / f"section-{number % 40}"
        directory.mkdir(parents=True, exist_ok=True)
        if number % 20 == 0:
            (directory / f"picture-{number}.png").write_bytes(source.randbytes(30_000))
        elif number % 20 == 1:
            text = "".join(
                f"export const {source.choice(words)} = '{source.choice(words)}';\n" for _ in range(500)
            )
            (directory / f"script-{number}.js").write_text(text)
        else:
            text = " ".join(source.choices(words, k=900))
            (directory / f"page-{number}.html").write_text(f"<!doctype html><p>{text}</p>")
