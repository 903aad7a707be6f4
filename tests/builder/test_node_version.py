from pathlib import Path

import pytest

from builder.detect import Choice
from builder.errors import BuildError, Code
from builder.host import Node
from builder.node_version import choose_node

NODES = [Node("24.2.0", Path("/opt/wheel")), Node("20.10.0", None)]
"""The newest first, as ``find_nodes`` has them."""


@pytest.mark.parametrize(
    ("wanted", "version", "is_met"),
    [
        ("24", "24.2.0", True),
        ("v20.10.0", "20.10.0", True),
        ("20.x", "20.10.0", True),
        (">=20", "24.2.0", True),
        (">= 22 <25", "24.2.0", True),
        ("20 - 22", "20.10.0", True),
        ("^18.17 || ^20.3 || >=22", "24.2.0", True),
        ("~24.2", "24.2.0", True),
        (">20", "24.2.0", True),
        ("<=20", "20.10.0", True),
        ("*", "24.2.0", True),
        ("lts/*", "24.2.0", True),
        ("lts/Krypton", "24.2.0", True),
        ("node", "24.2.0", True),
        # None of these is here: the same major, else the next newer one.
        ("20.9.0", "20.10.0", False),
        ("24.99.1", "24.2.0", False),
        ("18", "20.10.0", False),
        ("22", "24.2.0", False),
        ("<16", "20.10.0", False),
    ],
)
def test_the_nearest_node_is_chosen(wanted: str, version: str, is_met: bool) -> None:
    node, why = choose_node(Choice(wanted, ".nvmrc"), NODES)
    assert node.version == version
    assert why == ("" if is_met else "the nearest here; ") + f"{wanted} is asked for by .nvmrc"


@pytest.mark.parametrize("wanted", ["banana", ">=", "20 || no", "lts/argonaut", "1" * 300, "20 ; rm"])
def test_what_is_no_version_leaves_the_newest(wanted: str) -> None:
    node, why = choose_node(Choice(wanted, ".nvmrc"), NODES)
    assert node.version == "24.2.0"
    assert why == f"the newest here; .nvmrc names no version: {wanted}"


def test_without_a_wish_it_is_the_newest() -> None:
    assert choose_node(None, NODES) == (NODES[0], "the newest here")


def test_of_the_same_major_the_newest_is_the_nearest() -> None:
    nodes = [Node("24.19.0", None), Node("24.2.0", Path("/opt/wheel"))]
    assert choose_node(Choice("24.99.1", ".nvmrc"), nodes)[0] == nodes[0]


@pytest.mark.parametrize("wanted", ["25", ">=26", "^99.1"])
def test_a_newer_node_than_there_is_fails_with_the_fix(wanted: str) -> None:
    with pytest.raises(BuildError) as raised:
        choose_node(Choice(wanted, "engines.node in package.json"), NODES)
    failure = raised.value.failure
    assert failure.code == Code.NODE_VERSION_UNAVAILABLE
    assert (
        failure.message
        == f"engines.node in package.json asks for Node.js {wanted}; the newest here is 24.2.0."
    )
    assert failure.hint.startswith("Ask for 24 there, or install Node.js ")


def test_without_node_the_fix_is_told() -> None:
    with pytest.raises(BuildError, match="no Node"):
        choose_node(None, [])
