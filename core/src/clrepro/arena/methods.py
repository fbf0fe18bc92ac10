"""The methods by name: those of the papers, those of installed packages, and those of a file.

A paper offers its own in `<paper>_repro.arena`: METHODS, {name: class}, and NEEDS, the packages that its
environment must have.  A package offers some under the entry-point group `clrepro.methods`.
"""

import hashlib
import importlib
import importlib.metadata
import importlib.util
import pkgutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clrepro.arena.contract import check_class
from clrepro.errors import DataError, UsageError
from clrepro.io.regular_files import read_regular_text

GROUP = "clrepro.methods"
MAX_BYTES = 1 << 20  # of a file with a method


@dataclass(frozen=True)
class Entry:
    """A method that can be named: its class, where it is from, and what that environment must have.

    source — a paper, a package, or a file's path; needs — packages, as import names.
    """

    name: str
    kind: Any
    source: str
    paper: str = ""
    needs: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The first line of its description."""
        return (self.kind.__doc__ or "").strip().split("\n")[0]


def known() -> dict[str, Entry]:
    """Returns the methods of the papers and of installed packages, by name; the papers' win."""
    found = {}
    for point in importlib.metadata.entry_points(group=GROUP):
        try:
            kind = point.load()
        except Exception as problem:
            raise DataError(f"{GROUP}: {point.name} ({point.value}) cannot be loaded: {problem}") from None
        check_class(kind, point.value)
        found[point.name] = Entry(point.name, kind, point.dist.name if point.dist else point.value)
    for module in _papers():
        paper = module.__name__.removesuffix("_repro.arena")
        for name, kind in module.METHODS.items():
            found[name] = Entry(name, kind, paper, paper, tuple(module.NEEDS))
    return found


def _papers() -> list[Any]:
    names = {info.name for info in pkgutil.iter_modules() if info.ispkg and info.name.endswith("_repro")}
    names = {name for name in names if importlib.util.find_spec(f"{name}.arena") is not None}
    return [importlib.import_module(f"{name}.arena") for name in sorted(names)]


def find(name: str) -> Entry:
    """Returns the method of that name, or of the class that "file.py:Class" names.

    Raises: UsageError for an unknown name, listing those there are; DataError for a file that fails.
    """
    if ":" in name:
        return from_file(name)
    entries = known()
    if name not in entries:
        raise UsageError(f"method {name!r}: one of {', '.join(sorted(entries))}, or FILE.py:CLASS")
    return entries[name]


def from_file(words: str) -> Entry:
    """Returns the method in "file.py:Class".

    Raises: UsageError if there is no such file or class, or it is no method; DataError if the file cannot be
        read or fails when it is imported.
    """
    text, _, name = words.rpartition(":")
    path = Path(text)
    if path.suffix != ".py" or not name.isidentifier():
        raise UsageError(f"--method {words!r}: FILE.py:CLASS, e.g. my_method.py:Mine")
    if not path.is_file():
        raise UsageError(f"--method {words!r}: there is no file {text!r}; `cl-repro compare new` makes one")
    module = _imported(path.resolve())
    kind = getattr(module, name, None)
    if kind is None:
        classes = [key for key, value in vars(module).items() if _is_own_class(value, module)]
        there = ", ".join(classes) or "no class"
        raise UsageError(f"--method {words!r}: {text} has no {name}; it has {there}")
    check_class(kind, f"{path.name}:{name}")
    return Entry(name, kind, str(path.resolve()))


def _is_own_class(value: Any, module: Any) -> bool:
    return isinstance(value, type) and value.__module__ == module.__name__


def _imported(path: Path) -> Any:
    """The module in a file, its folder on the path for what lies beside it; once per content."""
    name = f"_clrepro_method_{digest(path)[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    try:
        spec.loader.exec_module(module)
    except BaseException as problem:
        del sys.modules[name]
        if isinstance(problem, KeyboardInterrupt):
            raise
        reason = f"{type(problem).__name__}: {' '.join(str(problem).split())}"
        raise DataError(f"{path}: cannot be imported ({reason})") from problem
    return module


def digest(path: Path) -> str:
    """Returns the sha256 (hex) of a file with a method.  Raises: DataError."""
    return hashlib.sha256(read_regular_text(path, MAX_BYTES).encode()).hexdigest()
