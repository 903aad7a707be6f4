"""``scalemesh.py demo``, as ``make demo`` runs it: a process of its own with no database of ours."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.parts.ports import unused_port

ROOT = Path(__file__).resolve().parents[2]


async def run_demo(data_dir: Path, **environment: str) -> str:
    """What it prints; fails where it does."""
    port = unused_port()
    given = {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DATA_DIR": str(data_dir),
        "PUBLIC_URL": f"http://localhost:{port}",
        "SITES_DOMAIN": f"localhost:{port}",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "scalemesh.py"),
        "demo",
        env={**os.environ, **given, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(180):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_without_a_registry_it_says_so_and_deploys_plain_html_also_a_second_time(
    tmp_path: Path,
) -> None:
    unreachable = f"http://127.0.0.1:{unused_port()}/"
    registry = {"NPM_CONFIG_REGISTRY": unreachable, "npm_config_registry": unreachable}
    first = await run_demo(tmp_path / "data", **registry)
    second = await run_demo(tmp_path / "data", **registry)
    for output in (first, second):
        assert "The npm registry can't be reached from here, so this deploys plain-html instead." in output
        assert "Your site is at http://demo-plain-html.localhost:" in output
        assert "title “" in output
    assert "0 new blobs" in second


@pytest.mark.registry
async def test_it_deploys_a_react_app(tmp_path: Path) -> None:
    """Waits for an install from the npm registry and a Vite build."""
    output = await run_demo(tmp_path / "data")
    assert "built in" in output
    assert "Your site is at http://demo-vite-react.localhost:" in output
    assert "title “Pebbles, Vite + React”" in output
