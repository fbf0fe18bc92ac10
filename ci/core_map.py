"""Write the map of modules into core/README.md from their docstrings: `python ci/core_map.py`.

A test of the core compares the two, so a module that is added, or says something else, needs this once.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "core" / "src" / "clrepro"
BEGIN = "## Map\n"


def first_paragraph(path: Path) -> str:
    """The first paragraph of a module's docstring, on one line, fit for a cell of a table."""
    text = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
    return " ".join(text.split()).replace("|", "\\|")


def section(folder: Path) -> str:
    """Heading, what the package is, and a row for each of its modules; empty if it has none."""
    modules = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
    if not modules:
        return ""
    name = ".".join(["clrepro", *folder.relative_to(SOURCE).parts])
    lines = [f"### `{name}`", ""]
    if folder != SOURCE:
        lines += [first_paragraph(folder / "__init__.py"), ""]
    lines += ["| file | what |", "|---|---|"]
    lines += [f"| `{path.name}` | {first_paragraph(path)} |" for path in modules]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Replace the map in core/README.md."""
    readme = ROOT / "core" / "README.md"
    head = readme.read_text(encoding="utf-8").split(BEGIN)[0]
    folders = sorted({SOURCE, *(path.parent for path in SOURCE.rglob("__init__.py"))})
    sections = [text for folder in folders if (text := section(folder))]
    readme.write_text(head + BEGIN + "\n" + "\n".join(sections), encoding="utf-8")


if __name__ == "__main__":
    main()
