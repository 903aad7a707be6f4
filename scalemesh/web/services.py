"""What handlers are given, as one value in the application."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from scalemesh.accounts import Accounts
from scalemesh.deploys import Deploys
from scalemesh.fields.git import GitRules
from scalemesh.logs.events import Announcer
from scalemesh.logs.follow import Logs
from scalemesh.projects import Projects
from scalemesh.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """``checks``: for each part that ``/health`` names, a coroutine function that raises where it fails."""

    settings: Settings
    git_rules: GitRules
    accounts: Accounts
    projects: Projects
    deploys: Deploys
    logs: Logs
    announcer: Announcer
    checks: Mapping[str, Callable[[], Awaitable[None]]]


SERVICES: web.AppKey[Services] = web.AppKey("services", Services)
