"""Site generators of Python: what pip installs for one. Pure."""

import re
from dataclasses import dataclass

from builder.tree import Tree

REQUIREMENTS = "requirements.txt"
DOCS_REQUIREMENTS = "docs/requirements.txt"

_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class PythonInstall:
    """``command`` runs with the virtual environment's programs first on PATH; None: there is nothing."""

    command: str | None
    why: str


def plan_python(generator: str | None, tree: Tree, *, in_docs: bool) -> PythonInstall | None:
    """What to install for ``generator`` (``mkdocs<2``) and the repository; None where neither needs Python.

    The requirements decide its version; where they do not name it, ours is added to what pip resolves.
    ``in_docs``: the generator's own directory is docs, so its requirements there come first.
    """
    places = (DOCS_REQUIREMENTS, REQUIREMENTS) if in_docs else (REQUIREMENTS, DOCS_REQUIREMENTS)
    file = next((place for place in places if place in tree.files), None)
    if file is None and generator is None:
        return None
    wanted = [f"-r {file}"] if file is not None else []
    why = file or "no requirements.txt"
    if generator is not None and not (file and _names(generator, tree.texts.get(file, ""))):
        wanted.append(f"'{generator}'")
        why += f", which does not name {_name(generator)}" if file else ""
    return PythonInstall(f"pip install {' '.join(wanted)}", why)


def _names(generator: str, requirements: str) -> bool:
    return any(_name(line) == _name(generator) for line in requirements.splitlines())


def _name(requirement: str) -> str | None:
    match = _NAME.match(requirement)
    return re.sub(r"[._-]+", "-", match[1]).lower() if match else None
