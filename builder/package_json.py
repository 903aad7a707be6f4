"""What matters of a package.json. Pure; whatever has an unexpected shape counts as absent."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PackageJSON:
    name: str | None
    dependencies: frozenset[str]
    """Also the development ones."""
    build_script: str | None
    package_manager: object
    node: str | None
    """``engines.node``."""
    has_workspaces: bool
    scripts: tuple[str, ...] = ()
    """By name, as they are listed."""

    @classmethod
    def from_json(cls, parsed: Mapping[str, object]) -> "PackageJSON":
        name = parsed.get("name")
        build_script = _mapping(parsed.get("scripts")).get("build")
        node = _mapping(parsed.get("engines")).get("node")
        return cls(
            name=name if isinstance(name, str) else None,
            dependencies=frozenset(_mapping(parsed.get("dependencies")))
            | frozenset(_mapping(parsed.get("devDependencies"))),
            build_script=build_script if isinstance(build_script, str) and build_script.strip() else None,
            package_manager=parsed.get("packageManager"),
            node=node if isinstance(node, str) and node.strip() else None,
            has_workspaces=bool(parsed.get("workspaces")),
            scripts=tuple(_mapping(parsed.get("scripts"))),
        )


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
