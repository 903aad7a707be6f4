"""ECS as its bad days make it: a few tasks in memory, and troubles that are asked for, over real HTTP."""

import itertools
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

CLUSTER = "mesh"
_ARN = "arn:aws:ecs:eu-central-1:123456789012:task/mesh/"


@dataclass(frozen=True, slots=True)
class Refuse:
    """An error in place of the answer; nothing is done."""

    code: str
    message: str = ""
    status: int = 400
    more: dict[str, Any] = field(default_factory=dict)


class LostAnswer:
    """What was asked is done, and the connection is gone before its answer."""


@dataclass(slots=True)
class ScriptedECS:
    """``troubles`` come first, in their order, one for each call of that action."""

    endpoint_url: str = ""
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    troubles: dict[str, deque[Any]] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    hidden: set[str] = field(default_factory=set)
    """Tasks that are not known yet, or no more."""
    _tokens: dict[str, tuple[str, str]] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def trouble(self, action: str, *answers: object) -> None:
        self.troubles.setdefault(action, deque()).extend(answers)

    def count(self, action: str) -> int:
        return sum(1 for called, _ in self.calls if called == action)

    def end(
        self, arn: str, code: str, *, exit_code: int | None = None, reason: str = "", stopped: str = ""
    ) -> None:
        """The task stops as ECS tells it."""
        task = self.tasks[arn]
        task.update(lastStatus="STOPPED", desiredStatus="STOPPED", stopCode=code, stoppedReason=stopped)
        [container] = task["containers"]
        container["lastStatus"] = "STOPPED"
        if exit_code is not None:
            container["exitCode"] = exit_code
        if reason:
            container["reason"] = reason

    def add_task(self, asked: dict[str, Any]) -> str:
        arn = f"{_ARN}{next(self._numbers):032x}"
        [override] = asked["overrides"]["containerOverrides"]
        self.tasks[arn] = {
            "taskArn": arn,
            "lastStatus": "PROVISIONING",
            "desiredStatus": "RUNNING",
            "startedBy": asked["startedBy"],
            "tags": asked["tags"],
            "containers": [{"name": override["name"], "lastStatus": "PENDING"}],
        }
        return arn

    async def handle(self, request: web.Request) -> web.StreamResponse:
        action = request.headers["X-Amz-Target"].rpartition(".")[2]
        asked = json.loads(await request.read())
        self.calls.append((action, asked))
        waiting = self.troubles.get(action)
        trouble = waiting.popleft() if waiting else None
        if isinstance(trouble, Refuse):
            return _error(trouble)
        if isinstance(trouble, dict):
            return _answer(trouble)
        answer = getattr(self, f"_{action}")(asked)
        if isinstance(trouble, LostAnswer):
            assert request.transport is not None
            request.transport.abort()
        return _error(answer) if isinstance(answer, Refuse) else _answer(answer)

    def _RunTask(self, asked: dict[str, Any]) -> Any:  # noqa: N802 - AWS's name
        parameters = json.dumps(asked, sort_keys=True)
        arn, before = self._tokens.get(asked["clientToken"], ("", parameters))
        if before != parameters:
            return Refuse("ConflictException", "The token is in use.", more={"resourceIds": [arn]})
        if not arn:
            arn = self.add_task(asked)
            self._tokens[asked["clientToken"]] = (arn, parameters)
        return {"tasks": [self.tasks[arn]], "failures": []}

    def _DescribeTasks(self, asked: dict[str, Any]) -> Any:  # noqa: N802
        assert len(asked["tasks"]) <= 100
        known = [arn for arn in asked["tasks"] if arn in self.tasks and arn not in self.hidden]
        missing = [{"arn": arn, "reason": "MISSING"} for arn in asked["tasks"] if arn not in known]
        return {"tasks": [self.tasks[arn] for arn in known], "failures": missing}

    def _ListTasks(self, asked: dict[str, Any]) -> Any:  # noqa: N802
        found = [
            arn
            for arn, task in self.tasks.items()
            if arn not in self.hidden
            and task["startedBy"] == asked["startedBy"]
            and task["desiredStatus"] == asked.get("desiredStatus", "RUNNING")
        ]
        start = int(asked.get("nextToken", 0))
        more = {"nextToken": str(start + 100)} if start + 100 < len(found) else {}
        return {"taskArns": found[start : start + 100], **more}

    def _StopTask(self, asked: dict[str, Any]) -> Any:  # noqa: N802
        if asked["task"] not in self.tasks:
            return Refuse("InvalidParameterException", "The referenced task was not found.")
        if self.tasks[asked["task"]]["lastStatus"] != "STOPPED":
            self.end(asked["task"], "UserInitiated", exit_code=3, stopped=asked["reason"])
        return {"task": self.tasks[asked["task"]]}


@asynccontextmanager
async def scripted_ecs() -> AsyncIterator[ScriptedECS]:
    ecs = ScriptedECS()
    app = web.Application(client_max_size=2**20)
    app.router.add_post("/", ecs.handle)
    async with TestServer(app) as server:
        ecs.endpoint_url = str(server.make_url("/"))
        yield ecs


def _answer(body: object) -> web.Response:
    return web.Response(text=json.dumps(body), content_type="application/x-amz-json-1.1")


def _error(refuse: Refuse) -> web.Response:
    body = {"__type": refuse.code, "message": refuse.message, **refuse.more}
    return web.Response(
        text=json.dumps(body), status=refuse.status, content_type="application/x-amz-json-1.1"
    )
