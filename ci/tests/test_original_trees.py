"""The originals' trees: every name that a file in one of them takes from our packages is there."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [ROOT / "core" / "src", *sorted(ROOT.glob("papers/*/src"))]
FILES = sorted(
    path.relative_to(ROOT)
    for path in ROOT.glob("papers/*/**/*.py")
    if path.relative_to(ROOT).parts[2] not in ("src", "tests", "results", "outputs")
)


@cache
def tree(path: Path) -> ast.Module:
    """The syntax of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def taken(path: Path) -> list[tuple[str, str]]:
    """(module, name) of all that a file imports from our packages."""
    froms = [node for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom)]
    return [
        (node.module, each.name)
        for node in froms
        if node.module and node.module.partition(".")[0].endswith("repro")
        for each in node.names
    ]


def file_of(module: str) -> Path | None:
    """The file of a module of ours."""
    inner = Path(*module.split("."))
    places = [s / p for s in SOURCES for p in (inner.with_suffix(".py"), inner / "__init__.py")]
    return next((place for place in places if place.is_file()), None)


def offered(path: Path) -> set[str]:
    """All names that a module's own statements bind, those in its `if` blocks too."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names |= {each.asname or each.name for each in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_name_is_there(path: Path) -> None:
    for module, name in taken(ROOT / path):
        home = file_of(module)
        assert home is not None, f"{path}: no module {module}"
        assert name in offered(home) or file_of(f"{module}.{name}"), f"{path}: {module} has no {name}"


def test_the_trees_are_looked_at() -> None:
    assert len(FILES) > 50
    assert taken(ROOT / "papers/tag/tag_update.py") == [("tag_repro", "TAG")]
    home = file_of("tag_repro.streams")
    assert home is not None
    assert "build" in offered(home)
    assert "Benchmark" not in offered(home)
