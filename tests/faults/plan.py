"""What a storm will do, drawn from its seed before it begins."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Site(StrEnum):
    """What is deployed: a project of each, shared out among the users."""

    STATIC = "static"
    QUICK = "quick"
    SLOW = "slow"
    SLOWER = "slower"
    CHATTY = "chatty"
    BROKEN = "broken"


class Victim(StrEnum):
    """What is killed, by SIGKILL where the name does not say otherwise."""

    BUILDER = "builder"
    SERVER = "server"
    VALKEY = "valkey"
    POSTGRES = "postgres"
    SERVER_BY_SIGTERM = "server, by SIGTERM"
    EVERYTHING = "everything at once"


@dataclass(frozen=True, slots=True)
class Deploy:
    """``cancel_after_s`` is from the answer to the deploy; None leaves it alone."""

    after_s: float
    site: Site
    changed: bool
    cancel_after_s: float | None


@dataclass(frozen=True, slots=True)
class Kill:
    """``after_s`` the kill before, or after the server is back from it; ``pick`` chooses among several."""

    after_s: float
    victim: Victim
    pick: float


@dataclass(frozen=True, slots=True)
class Plan:
    deploys: Sequence[Deploy]
    kills: Sequence[Kill]


# Builders are killed most: that is the one kill that strikes a build alone, at any of its moments.
_VICTIMS = {
    Victim.BUILDER: 8,
    Victim.SERVER: 4,
    Victim.VALKEY: 4,
    Victim.POSTGRES: 2,
    Victim.SERVER_BY_SIGTERM: 2,
    Victim.EVERYTHING: 2,
}
_CANCELED = 0.2
_IN_ONE_GO = 0.3


def draw_plan(seed: int, *, deploys: int, kills: int) -> Plan:
    """Each victim comes up where there are as many kills as victims; else the first of them."""
    deploying, killing = random.Random(f"{seed} deploys"), random.Random(f"{seed} kills")
    victims = list(Victim)[:kills]
    victims += killing.choices(list(_VICTIMS), list(_VICTIMS.values()), k=kills - len(victims))
    killing.shuffle(victims)
    sites = [*Site][:deploys]
    deploying.shuffle(sites)
    while len(sites) < deploys:
        # Twice the same project, so that one waits behind the other or is superseded by it.
        sites.append(sites[-1] if deploying.random() < _IN_ONE_GO else deploying.choice([*Site]))
    return Plan(
        deploys=[
            Deploy(
                after_s=deploying.choice([0.0, deploying.uniform(0.0, 3.0)]),
                site=site,
                changed=deploying.random() < 0.5,
                cancel_after_s=deploying.uniform(0.0, 2.5) if deploying.random() < _CANCELED else None,
            )
            for site in sites
        ],
        kills=[Kill(killing.uniform(0.05, 1.5), victim, killing.random()) for victim in victims],
    )
