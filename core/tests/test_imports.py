"""The import rules: `clrepro` needs no framework to be imported, and nothing imports a package `core`."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FRAMEWORKS = ["torch", "tensorflow", "jax", "gymnasium", "ray", "mlflow", "matplotlib", "numba"]
# Imported only inside functions of `clrepro.kernels.mlp` and `.batch`: numba compiles at definition.
LATE = [
    f"clrepro.kernels.{name}"
    for name in (
        "agem_step",
        "deterministic_math",
        "forward_backward",
        "minibatch",
        "mlp_loops",
        "row_tiles",
        "simd",
        "sparse_tiles",
    )
]

IMPORT_ALL = """
import importlib, pkgutil, sys

frameworks, late = sys.argv[1].split(","), sys.argv[2].split(",")

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in frameworks:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Absent())
import clrepro
names = [found.name for found in pkgutil.walk_packages(clrepro.__path__, "clrepro.", onerror=print)]
for name in names:
    if name not in late:
        importlib.import_module(name)
print(*names)
"""


def import_all(late: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", IMPORT_ALL, ",".join(FRAMEWORKS), ",".join(late)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_every_module_imports_without_frameworks() -> None:
    done = import_all(LATE)
    assert done.returncode == 0, done.stderr
    files = (ROOT / "core" / "src" / "clrepro").rglob("*.py")
    modules = {".".join(file.relative_to(ROOT / "core" / "src").with_suffix("").parts) for file in files}
    expected = {name.removesuffix(".__init__") for name in modules} - {"clrepro"}
    assert set(done.stdout.split()) == expected  # the walk saw each file, so none was left untried


def test_the_block_blocks() -> None:
    done = import_all([])
    assert done.returncode != 0
    assert "numba is blocked" in done.stderr


@pytest.mark.parametrize("folder", ["core", "papers", "ci"])
def test_nobody_imports_core(folder: str) -> None:
    guilty = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if "core" in imported(node)
    ]
    assert guilty == []


def imported(node: ast.AST) -> set[str]:
    """The top names that an import statement takes from outside its own package."""
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return {(node.module or "").partition(".")[0]}
    return set()


def test_imported_sees_both_forms() -> None:
    lines = ["import os, core.seeding", "from core import seeding", "from . import core", "import score"]
    found = [set().union(*(imported(node) for node in ast.walk(ast.parse(line)))) for line in lines]
    assert ["core" in names for names in found] == [True, True, False, False]


def test_the_map_in_the_readme_names_every_module() -> None:
    """One line per module, with the first sentence of its docstring."""
    source = ROOT / "core" / "src" / "clrepro"
    text = (ROOT / "core" / "README.md").read_text(encoding="utf-8").replace("\\|", "|")
    for path in source.rglob("*.py"):
        if path.name != "__init__.py":
            first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
            assert f"| `{path.name}` | {' '.join(first.split())} |" in text, path
