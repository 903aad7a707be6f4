"""``make bench`` and ``make bench-builds``: every figure with the bound it is held to. Several minutes."""

import asyncio
import sys

from bench import builds, first_deploy, hot

_MEASURES = {"all": first_deploy.measure, "builds": builds.measure, "hot": hot.measure}


def main() -> int:
    figures = asyncio.run(_MEASURES[sys.argv[1] if len(sys.argv) > 1 else "all"]())
    width = max(len(figure.name) for figure in figures)
    print(f"{'':{width}}  {'measured':>12}  {'bound':>12}")
    for figure in figures:
        print(f"{figure.name:{width}}  {figure.shown:>12}  {figure.bound_shown:>12}  {figure.verdict}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
