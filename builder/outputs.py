"""Finds the directory that the build wrote."""

from pathlib import Path, PurePosixPath

from builder.detect import Plan
from builder.errors import BuildError, Code
from builder.presets import WELL_KNOWN_OUTPUTS


def find_output(build: Path, root: PurePosixPath, plan: Plan) -> PurePosixPath:
    """The first of the plan's outputs that is a directory of ``root``, relative to it.

    ``root`` is relative to ``build``, below which the commands could replace any directory by a link to
    a place that we can read and they can't. None is followed.

    Raises ``BuildError`` (``output_missing``, ``next_export_missing``, ``artifact_rejected``).
    """
    for name in plan.outputs:
        if _is_directory(build, root / name):
            return PurePosixPath(name)
    wanted = " or ".join(plan.outputs)
    if plan.preset.name == "nextjs" and plan.outputs == plan.preset.outputs:
        raise BuildError(
            Code.NEXT_EXPORT_MISSING,
            "Next.js wrote no static export: there is no directory out after the build.",
            plan.output_hint,
        )
    there = [name for name in WELL_KNOWN_OUTPUTS if _is_directory(build, root / name)]
    raise BuildError(
        Code.OUTPUT_MISSING,
        f"After the build there is no directory {wanted}."
        + (f" There is {' and '.join(there)}." if there else ""),
        plan.output_hint,
    )


def _is_directory(build: Path, relative: PurePosixPath) -> bool:
    path = build
    for name in relative.parts:
        path /= name
        if path.is_symlink():
            raise BuildError(
                Code.ARTIFACT_REJECTED,
                f"{name}, which leads to the output directory, is a link.",
                "Let the build write into a directory of its own.",
            )
    return path.is_dir()
