"""Chooses how a repository is built. Pure: ``checkout`` reads the checkout, ``detect`` decides.

A setting of the project wins, then ``scripts.build`` in package.json, then the framework's own command.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from builder.layouts import Layout, next_export_hint
from builder.package_json import PackageJSON
from builder.packages import LockFile, Manager, Workspace, choose_manager
from builder.presets import COMMAND, CONFIGURED, PRESETS, SCRIPT, STATIC, Preset
from builder.python import PythonInstall, plan_python
from builder.tree import Tree

SETTING = "the project's setting"


@dataclass(frozen=True, slots=True)
class Choice:
    """A command or directory list, and in a few words why it was chosen."""

    value: str
    why: str


@dataclass(frozen=True, slots=True)
class Checkout:
    """What ``detect`` looks at. ``root`` is the root directory, relative to the repository.

    ``locks`` are the lock files of ``root`` and of each directory above it, the nearest first, and
    ``above`` the package.json of those directories; ``pnpm_workspaces`` have a pnpm-workspace.yaml.
    ``node_file`` is what .nvmrc or .node-version says, and which of them.
    """

    root: PurePosixPath
    package: PackageJSON | None
    locks: Mapping[PurePosixPath, tuple[LockFile, ...]]
    above: Mapping[PurePosixPath, PackageJSON] = field(default_factory=dict)
    pnpm_workspaces: frozenset[PurePosixPath] = frozenset()
    node_file: Choice | None = None
    tree: Tree = field(default_factory=Tree)


@dataclass(frozen=True, slots=True)
class Settings:
    """The project's own choices; ``None`` leaves one to us."""

    install_command: str | None = None
    build_command: str | None = None
    output_directory: PurePosixPath | None = None


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
    output_hint: str
    """What to do where none of ``outputs`` is there after the build."""
    node_wanted: Choice | None
    python: PythonInstall | None
    program: str | None
    """What the build command needs on the builder's machine."""

    @property
    def has_commands(self) -> bool:
        return self.build is not None or self.install is not None

    def explain(self) -> Iterator[str]:
        """One line for each choice, with its reason. The versions of tools are told where they are found."""
        yield f"Framework: {self.preset.title} ({self.preset_why})"
        if self.manager is not None:
            yield f"Package manager: {self.manager.name} ({self.manager.why})"
        if self.install is not None:
            yield f"Install command: {self.install.value} ({self.install.why})"
        if self.python is not None and self.python.command is not None:
            yield f"Python packages: {self.python.command} ({self.python.why})"
        if self.build is not None:
            yield f"Build command: {self.build.value} ({self.build.why})"
        yield f"Output: {' or '.join(self.outputs)} ({self.outputs_why})"


def detect(checkout: Checkout, settings: Settings) -> Plan:
    """The plan for ``checkout``. Every repository has one."""
    package, tree = checkout.package, checkout.tree
    preset, why = _preset(package, tree, settings)
    layout = _layout(preset, tree, package)
    manager = _manager(preset, checkout, settings)
    build = _build(package, manager, preset, layout, settings)
    is_own = build is not None and layout is not None and build.value == layout.command
    outputs: tuple[str, ...]
    if settings.output_directory:
        outputs, outputs_why = (str(settings.output_directory),), SETTING
    else:
        outputs = layout.outputs if layout else preset.outputs
        outputs_why = (layout and layout.why) or f"where {preset.title} writes"
    return Plan(
        preset=preset,
        preset_why=why,
        manager=manager,
        install=_install(manager, layout, settings),
        build=build,
        outputs=outputs,
        outputs_why=outputs_why,
        output_hint=next_export_hint(tree) if preset.name == "nextjs" else OUTPUT_HINT,
        node_wanted=_node_wanted(checkout),
        python=_python(preset, layout, tree, settings),
        program=build.value.split()[0] if build is not None and preset.needs_program and is_own else None,
    )


OUTPUT_HINT = "Set the project's output directory to where the build writes."


def _preset(package: PackageJSON | None, tree: Tree, settings: Settings) -> tuple[Preset, str]:
    if package is not None:
        for preset in PRESETS:
            for dependency in preset.dependencies:
                if dependency in package.dependencies:
                    return preset, f"{dependency} in package.json"
    for preset in CONFIGURED:
        for sign in preset.signs:
            if sign.is_in(tree):
                return preset, sign.path
    if package is None:
        if settings.build_command:
            return COMMAND, "the project's build command, and no package.json"
        return STATIC, "no package.json"
    if package.build_script:
        return SCRIPT, "scripts.build in package.json"
    if settings.build_command:
        return SCRIPT, "the project's build command"
    return STATIC, "no build script in package.json"


def _layout(preset: Preset, tree: Tree, package: PackageJSON | None) -> Layout | None:
    if preset.layout is not None:
        return preset.layout(tree, package.name if package else None)
    return Layout(preset.command, preset.outputs) if preset.command else None


def _manager(preset: Preset, checkout: Checkout, settings: Settings) -> Manager | None:
    """None where nothing of package.json is needed."""
    package = checkout.package
    if package is None:
        return None
    is_needed = settings.build_command or settings.install_command or package.build_script
    # A generator that is told by its own file may use tools of package.json, as Hugo does PostCSS.
    if not is_needed and not (preset.command and package.dependencies):
        return None
    shared = {
        directory
        for directory, above in checkout.above.items()
        if above.has_workspaces or not package.dependencies
    }
    return choose_manager(
        Workspace(
            root=checkout.root,
            fields={
                checkout.root: package.package_manager,
                **{directory: above.package_manager for directory, above in checkout.above.items()},
            },
            locks=checkout.locks,
            shared=frozenset(shared) | checkout.pnpm_workspaces,
        )
    )


def _install(manager: Manager | None, layout: Layout | None, settings: Settings) -> Choice | None:
    if settings.install_command:
        return Choice(settings.install_command, SETTING)
    if layout is not None and layout.install:
        return Choice(layout.install, layout.why or "")
    return Choice(manager.install, manager.why) if manager else None


def _build(
    package: PackageJSON | None,
    manager: Manager | None,
    preset: Preset,
    layout: Layout | None,
    settings: Settings,
) -> Choice | None:
    if settings.build_command:
        return Choice(settings.build_command, SETTING)
    script = package.build_script if package is not None else None
    if script is not None and layout is not None and script.strip() in preset.server_builds:
        return Choice(layout.command, f"scripts.build is {script}, which makes a server instead of a site")
    if script is not None and manager is not None:
        return Choice(manager.run_build, f"scripts.build in package.json: {script}")
    if layout is not None:
        return Choice(layout.command, f"{preset.title}'s own, as there is no scripts.build")
    return None


def _python(preset: Preset, layout: Layout | None, tree: Tree, settings: Settings) -> PythonInstall | None:
    """Also for the project's own command, which may be a Python program's."""
    if preset.python is None and preset is not COMMAND:
        return None
    in_docs = layout is not None and layout.outputs[0].startswith("docs/")
    python = plan_python(preset.python, tree, in_docs=in_docs)
    if python is not None and settings.install_command:
        return PythonInstall(None, SETTING)
    return python


def _node_wanted(checkout: Checkout) -> Choice | None:
    if checkout.node_file:
        return checkout.node_file
    if checkout.package is not None and checkout.package.node:
        return Choice(checkout.package.node, "engines.node in package.json")
    return None
