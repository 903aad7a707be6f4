"""Chooses how a repository is built. Pure: ``inspect`` reads the checkout, ``detect`` decides.

A setting of the project wins, then ``scripts.build`` in package.json, then the framework's own command.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from builder.packages import LockFile, Manager, choose_manager
from builder.presets import COMMAND, PRESETS, SCRIPT, STATIC, Preset


@dataclass(frozen=True, slots=True)
class PackageJSON:
    """What matters of a package.json; whatever has an unexpected shape counts as absent."""

    dependencies: frozenset[str]
    """Also the development ones."""
    build_script: str | None
    package_manager: object
    node: str | None
    """``engines.node``."""
    scripts: tuple[str, ...] = ()
    """By name, as they are listed."""

    @classmethod
    def from_json(cls, parsed: Mapping[str, object]) -> "PackageJSON":
        build_script = _mapping(parsed.get("scripts")).get("build")
        node = _mapping(parsed.get("engines")).get("node")
        return cls(
            dependencies=frozenset(_mapping(parsed.get("dependencies")))
            | frozenset(_mapping(parsed.get("devDependencies"))),
            build_script=build_script if isinstance(build_script, str) and build_script.strip() else None,
            package_manager=parsed.get("packageManager"),
            node=node if isinstance(node, str) else None,
            scripts=tuple(_mapping(parsed.get("scripts"))),
        )


@dataclass(frozen=True, slots=True)
class Checkout:
    """What ``detect`` looks at. ``root`` is the root directory, relative to the repository.

    ``locks`` are the lock files of ``root`` and of each directory above it, the nearest first;
    ``node_file`` is what .nvmrc or .node-version says.
    """

    root: PurePosixPath
    package: PackageJSON | None
    locks: Mapping[PurePosixPath, tuple[LockFile, ...]]
    node_file: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """The project's own choices; ``None`` leaves one to us."""

    install_command: str | None = None
    build_command: str | None = None
    output_directory: PurePosixPath | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A command or directory list, and in a few words why it was chosen."""

    value: str
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """How to build. ``outputs`` are relative to the root directory; the first that exists is the site."""

    preset: Preset
    preset_why: str
    manager: Manager | None
    install: Choice | None
    build: Choice | None
    outputs: tuple[str, ...]
    outputs_why: str
    node_wanted: Choice | None

    @property
    def has_commands(self) -> bool:
        return self.build is not None or self.install is not None


def detect(checkout: Checkout, settings: Settings) -> Plan:
    """The plan for ``checkout``. Every repository has one."""
    package = checkout.package
    preset, why = _preset(package, settings)
    builds = settings.build_command or (package and package.build_script) or preset.command
    manager = None
    if package is not None and (builds or settings.install_command):
        manager = choose_manager(package.package_manager, checkout.locks, checkout.root)
    return Plan(
        preset=preset,
        preset_why=why,
        manager=manager,
        install=_install(manager, settings),
        build=_build(package, manager, preset, settings),
        outputs=(str(settings.output_directory),) if settings.output_directory else preset.outputs,
        outputs_why="the project's setting" if settings.output_directory else f"where {preset.title} writes",
        node_wanted=_node_wanted(checkout),
    )


def _preset(package: PackageJSON | None, settings: Settings) -> tuple[Preset, str]:
    if package is None:
        if settings.build_command:
            return COMMAND, "the project's build command, and no package.json"
        return STATIC, "no package.json"
    for preset in PRESETS:
        for dependency in preset.dependencies:
            if dependency in package.dependencies:
                return preset, f"{dependency} in package.json"
    if package.build_script:
        return SCRIPT, "scripts.build in package.json"
    if settings.build_command:
        return SCRIPT, "the project's build command"
    return STATIC, "no build script in package.json"


def _install(manager: Manager | None, settings: Settings) -> Choice | None:
    if settings.install_command:
        return Choice(settings.install_command, "the project's setting")
    return Choice(manager.install, manager.why) if manager else None


def _build(
    package: PackageJSON | None, manager: Manager | None, preset: Preset, settings: Settings
) -> Choice | None:
    if settings.build_command:
        return Choice(settings.build_command, "the project's setting")
    if package is not None and package.build_script and manager is not None:
        return Choice(manager.run_build, f"scripts.build in package.json: {package.build_script}")
    if preset.command:
        return Choice(preset.command, f"{preset.title}'s own, as there is no scripts.build")
    return None


def _node_wanted(checkout: Checkout) -> Choice | None:
    if checkout.node_file:
        return Choice(checkout.node_file, ".nvmrc or .node-version")
    if checkout.package is not None and checkout.package.node:
        return Choice(checkout.package.node, "engines.node in package.json")
    return None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
