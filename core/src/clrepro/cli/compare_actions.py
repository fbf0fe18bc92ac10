"""`cl-repro compare ls`, `new`, `validate`, `check`: what there is, a start, the rules, old cells."""

import time
from importlib.resources import files
from pathlib import Path
from typing import Any

from clrepro.arena import methods, validate
from clrepro.arena.contract import told
from clrepro.arena.environments import python_for
from clrepro.arena.streams import DATA, KINDS
from clrepro.errors import UsageError
from clrepro.io.atomic import write_atomically
from clrepro.sweep.host import show


def ls(**_: Any) -> int:
    """Print the methods and the streams.  Returns: 0."""
    show("methods")
    for name, entry in sorted(methods.known().items()):
        try:
            python_for(entry)
            here = ""
        except UsageError:
            here = f" (not here: nox -s env-{entry.paper})"
        marks = f" [{told(entry.kind)}]" if told(entry.kind) else ""
        show(f"  {name:14s} {entry.source:8s} {entry.text}{marks}{here}")
    show("streams, each of " + ", ".join(f"{name}-" for name in DATA))
    for name, text in KINDS.items():
        show(f"  {name:14s} {text}")
    return 0


def new(file: Path, **_: Any) -> int:
    """Write a working method to start from.  Returns: 0.  Raises: UsageError if the file is there already."""
    if file.suffix != ".py":
        raise UsageError(f"{file}: a Python file ends in .py")
    if file.exists():
        raise UsageError(f"{file} is there already; name another one")
    write_atomically(file, files("clrepro.arena").joinpath("starter.txt").read_bytes())
    show(f"written: {file}; try it with: cl-repro compare --method {file}:Mine")
    return 0


def validate_method(name: str, **_: Any) -> int:
    """Try every rule on a method and print a line for each.  Returns: 0, or 1 if one is broken."""
    entry = methods.find(name)
    began, broken = time.perf_counter(), dict(validate.broken(entry.kind))
    for rule in validate.RULES:
        show(f"{'BROKEN' if rule.name in broken else 'kept':7s} {rule.name}"
             + (f": {broken[rule.name]}" if rule.name in broken else ""))  # fmt: skip
    show(f"{entry.name}: {len(validate.RULES) - len(broken)} of {len(validate.RULES)} rules kept, "
         f"{time.perf_counter() - began:.1f} s; told of tasks: {told(entry.kind) or 'nothing'}")  # fmt: skip
    return 1 if broken else 0


ACTIONS = {"ls": ls, "new": new, "validate": validate_method}
