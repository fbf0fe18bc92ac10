"""The floor plan: imports go downwards, none in a circle, and papers have the same entry points."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {"clrepro": ROOT / "core" / "src" / "clrepro"} | {
    f"{path.name}_repro": path / "src" / f"{path.name}_repro" for path in sorted((ROOT / "papers").iterdir())
}
# Scripts beside each other, imported by their bare names.
SCRIPTS = [ROOT / "ci", ROOT / "docker" / "tools", ROOT / "core" / "tools"]
# In the core, from the top down; what is not named here may be used by all.
UPPER = ("clrepro.cli", "clrepro.report", "clrepro.sweep", "clrepro.claims", "clrepro.records", "clrepro.io")


def modules(folder: Path, package: str) -> dict[str, Path]:
    return {
        ".".join([package, *path.relative_to(folder).with_suffix("").parts]).removesuffix(".__init__"): path
        for path in folder.rglob("*.py")
    }


def scripts(folder: Path) -> dict[str, Path]:
    found = modules(folder, "").items()
    return {name.lstrip("."): path for name, path in found if "tests" not in path.parts}


PACKAGED = {name: path for top, folder in SOURCES.items() for name, path in modules(folder, top).items()}
EVERY = PACKAGED | {name: path for folder in SCRIPTS for name, path in scripts(folder).items()}


def imported(name: str) -> Iterator[str]:
    """The modules of ours that a module imports, at its top or in a function, not for types alone."""
    tree = ast.parse(EVERY[name].read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = [ast.Pass()]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name in EVERY)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for each in node.names:
                inner = f"{node.module}.{each.name}"
                if inner in EVERY or node.module in EVERY:
                    yield inner if inner in EVERY else node.module


ARROWS = {name: set(imported(name)) - {name} for name in EVERY}


def circle() -> list[str]:
    """Returns modules that import each other in a ring; empty if there is none."""
    state: dict[str, int] = {}
    way: list[str] = []

    def visit(name: str) -> list[str]:
        state[name] = 1
        way.append(name)
        for each in sorted(ARROWS[name]):
            # A package's __init__ hands on names of its own modules; they do not go back through it.
            if EVERY[each].name == "__init__.py" and name.startswith(f"{each}."):
                continue
            if state.get(each) == 1:
                return [*way[way.index(each) :], each]
            if each not in state and (found := visit(each)):
                return found
        way.pop()
        state[name] = 2
        return []

    for name in sorted(EVERY):
        if name not in state and (found := visit(name)):
            return found
    return []


def test_no_module_imports_itself_over_others() -> None:
    assert circle() == []


def test_a_circle_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARROWS, "clrepro.errors", {"clrepro.records"})
    found = circle()
    assert found[0] == found[-1]
    assert "clrepro.errors" in found


def test_every_script_is_looked_at() -> None:
    assert {"run_nox", "environments", "faults.commands", "images", "sweep_load"} <= set(ARROWS)
    assert "interpreter" in ARROWS["environments"]
    assert "checkout" in ARROWS["images"]


def test_the_core_knows_no_paper_and_no_paper_another() -> None:
    for name in PACKAGED:
        targets = ARROWS[name]
        own = name.partition(".")[0]
        strangers = {t for t in targets if t.partition(".")[0] not in (own, "clrepro")}
        assert not strangers, f"{name} imports {strangers}"
        assert own != "clrepro" or not {t for t in targets if not t.startswith("clrepro")}


def test_nothing_imports_the_command() -> None:
    users = {name: ARROWS[name] for name in PACKAGED if not name.startswith("clrepro.cli")}
    assert not [name for name, ts in users.items() if any(t.startswith("clrepro.cli") for t in ts)]


@pytest.mark.parametrize("floor", range(1, len(UPPER)))
def test_imports_of_the_core_go_downwards(floor: int) -> None:
    lower, above = UPPER[floor], UPPER[:floor]
    for name, targets in ARROWS.items():
        if name == lower or name.startswith(f"{lower}."):
            rising = {t for t in targets if any(t == a or t.startswith(f"{a}.") for a in above)}
            assert not rising, f"{name} reaches up to {rising}"


@pytest.mark.parametrize("paper", [name for name in SOURCES if name != "clrepro"])
def test_every_paper_has_the_same_entry_points(paper: str) -> None:
    """`cli` holds what a sweep calls, `bench` what the benchmark runs, SPEC.md what is promised."""
    assert f"{paper}.cli" in EVERY
    assert f"{paper}.bench" in EVERY
    home = SOURCES[paper].parents[1]
    for file in ("README.md", "SPEC.md", "profiles.toml", "claims.toml"):
        assert (home / file).is_file()
