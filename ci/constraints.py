"""The versions in poetry.lock as pip constraints.  Standard library only; poetry is not needed.

Constraints, not requirements with hashes: a machine may hold its own build of a locked version (a CPU build
of torch), and pip then takes that one.
"""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

# What poetry writes into a marker for a package that only some extras need, in either order.
_EXTRA = re.compile(r"""extra\s*(==|!=)\s*["']([^"']+)["']|["']([^"']+)["']\s*(==|!=)\s*extra\b""")
# Two conditions that every Python knows the answer to.
_TRUE, _FALSE = 'python_version >= "3"', 'python_version < "3"'


def constraints(lock: Path, extras: Iterable[str]) -> list[str]:
    """One line `name==version`, or `name==version ; marker`, for each package of `lock`, in its order.

    Args: lock — a poetry.lock; extras — the extras of ours that are installed together.
    Environment markers are left to pip; `extra` conditions are decided here: pip knows none in constraints.
    Raises: ValueError if `lock` is not a lock with packages, or an entry has a source of its own.
    """
    try:
        packages = tomllib.loads(lock.read_text(encoding="utf-8"))["package"]
    except (ValueError, KeyError) as problem:
        raise ValueError(f"{lock} is not a lock ({problem}); make it anew with ci/lock.py") from None
    chosen = {normal(extra) for extra in extras}
    return [_line(package, chosen) for package in packages]


def normal(extra: str) -> str:
    """The name of an extra as packaging tools compare it: lower case, runs of - _ . as one hyphen."""
    return re.sub(r"[-_.]+", "-", extra).lower()


def _line(package: dict[str, object], chosen: set[str]) -> str:
    name, version = package["name"], package["version"]
    if "source" in package:
        raise ValueError(f"{name} is locked to a source of one machine; make the lock anew with ci/lock.py")
    marker = package.get("markers")
    if isinstance(marker, dict):  # one marker per dependency group; ours are all in the main group
        marker = marker.get("main")
    return f"{name}=={version}" + (f" ; {_decide(str(marker), chosen)}" if marker else "")


def _decide(marker: str, chosen: set[str]) -> str:
    """`marker` with each condition on `extra` replaced by one that is true or false as `chosen` says."""

    def verdict(found: re.Match[str]) -> str:
        operator, extra = (found[1], found[2]) if found[1] else (found[4], found[3])
        return _TRUE if (normal(extra) in chosen) == (operator == "==") else _FALSE

    return _EXTRA.sub(verdict, marker)
