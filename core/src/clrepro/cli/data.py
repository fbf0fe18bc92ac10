"""`cl-repro data`: which data sets are here; `cl-repro data get NAME`: fetch one."""

from pathlib import Path

from clrepro.datasets import CATALOG, load, locate
from clrepro.errors import DataError, UsageError
from clrepro.sweep.host import show

EMBEDDED = "mnist_quick"


def run(data_dir: Path | None, action: str | None, name: str | None) -> int:
    """List all data sets with place and licence, or download `name` if `action` is "get".

    Returns: 0; 1 if a data set that is here is damaged.
    """
    if action == "get":
        return _get(name or "")
    damaged = False
    for each in (EMBEDDED, *CATALOG):
        state, detail = look(each, data_dir)
        damaged |= state == "damaged"
        show(f"{state:8} {each:14} {detail.removeprefix(each + ': ')}")
    return 1 if damaged else 0


def look(name: str, data_dir: Path | None) -> tuple[str, str]:
    """("found", place and licence) or ("missing" or "damaged", reason) of the data set `name`, verified."""
    try:
        if name == EMBEDDED:
            dataset = load(name)
            n_train, n_test = len(dataset.x_train), len(dataset.x_test)
            return "found", f"in the package, {n_train} + {n_test} images ({dataset.licence})"
        folders = {path.parent for path in locate(CATALOG[name], data_dir).values()}
        return "found", f"{', '.join(map(str, sorted(folders)))} ({CATALOG[name].licence})"
    except DataError as problem:
        return ("missing" if "looked in" in str(problem) else "damaged"), str(problem)


def _get(name: str) -> int:
    if name == EMBEDDED:
        show(f"{EMBEDDED} is part of the package; nothing to fetch")
        return 0
    if name not in CATALOG:
        raise UsageError(f"no data set {name!r} can be fetched; there are {', '.join(CATALOG)}")
    for path in locate(CATALOG[name], download=True).values():
        show(str(path))
    return 0
