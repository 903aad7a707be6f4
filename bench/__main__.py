"""``make bench``, ``bench-builds`` and ``bench-logs``: every figure with the bound it is held to.

``python -m bench NAME`` measures one part: start (a first deploy), away, sites, beside, hot, promotion,
builds or logs.
"""

import asyncio
import sys

from bench import away, beside, builds, first_deploy, hot, logs, promotion, sites
from bench.figures import Figure


async def _start_and_sites() -> list[Figure]:
    return [*await first_deploy.measure(), *await sites.measure(), *await beside.measure()]


_MEASURES = {
    "all": _start_and_sites,
    "start": first_deploy.measure,
    "away": away.measure,
    "sites": sites.measure,
    "beside": beside.measure,
    "hot": hot.measure,
    "promotion": promotion.measure,
    "builds": builds.measure,
    "logs": logs.measure,
}


def main() -> int:
    figures = asyncio.run(_MEASURES[sys.argv[1] if len(sys.argv) > 1 else "all"]())
    width = max(len(figure.name) for figure in figures)
    print(f"{'':{width}}  {'measured':>12}  {'bound':>12}")
    for figure in figures:
        print(f"{figure.name:{width}}  {figure.shown:>12}  {figure.bound_shown:>12}  {figure.verdict}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
