"""``make bench``: every figure, each with the bound it is held to. Several minutes; loopback only."""

import asyncio
import sys

from bench import first_deploy


def main() -> int:
    figures = asyncio.run(first_deploy.measure())
    width = max(len(figure.name) for figure in figures)
    print(f"{'':{width}}  {'measured':>12}  {'bound':>12}")
    for figure in figures:
        print(f"{figure.name:{width}}  {figure.shown:>12}  {figure.bound_shown:>12}  {figure.verdict}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
