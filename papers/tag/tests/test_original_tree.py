"""The original's tree: every name that a file in it offers is there."""

import ast
import importlib
import importlib.util
from pathlib import Path

import pytest

PAPER = Path(__file__).resolve().parents[1]
FILES = sorted(
    path.relative_to(PAPER)
    for path in PAPER.rglob("*.py")
    if path.relative_to(PAPER).parts[0] not in ("src", "tests", "results", "outputs")
)


def offered(path):
    """(module, name) of all that a file imports by name."""
    tree = ast.parse((PAPER / path).read_text(encoding="utf-8"))
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return [(node.module, each.name) for node in froms for each in node.names]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_name_is_there(path):
    for module, name in offered(path):
        if "tensorflow" in module and importlib.util.find_spec("tensorflow") is None:
            pytest.skip("TensorFlow is not installed")
        assert hasattr(importlib.import_module(module), name), f"{module} has no {name}"


def test_the_tree_is_looked_at():
    assert len(FILES) > 20
    assert offered(Path("tag_update.py")) == [("tag_repro", "TAG")]
