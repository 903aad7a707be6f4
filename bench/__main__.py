"""``make bench``, ``bench-builds`` and ``bench-logs``: every figure with its bound. Several minutes."""

import asyncio
import sys

from bench import builds, first_deploy, hot, logs

_MEASURES = {"all": first_deploy.measure, "builds": builds.measure, "hot": hot.measure, "logs": logs.measure}


def main() -> int:
    figures = asyncio.run(_MEASURES[sys.argv[1] if len(sys.argv) > 1 else "all"]())
    width = max(len(figure.name) for figure in figures)
    print(f"{'':{width}}  {'measured':>12}  {'bound':>12}")
    for figure in figures:
        print(f"{figure.name:{width}}  {figure.shown:>12}  {figure.bound_shown:>12}  {figure.verdict}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
