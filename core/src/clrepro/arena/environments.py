"""Where a paper's methods run: in this Python if it has what they need, else in the paper's environment.

A run that needs another Python is handed to a process of that one, which lives as long as this process and
answers run after run: importing a framework takes longer than a quick run.
"""

import atexit
import contextlib
import functools
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from clrepro.arena.methods import Entry
from clrepro.errors import DataError, UsageError
from clrepro.records import Outcome, parse_json_object

VARIABLE = "CL_REPRO_PYTHON_"  # and the paper in capitals: the interpreter of its environment
PATIENCE_S = 5.0  # for a process to end whose requests are closed
_children: dict[str, "subprocess.Popen[str]"] = {}


def python_for(entry: Entry) -> str:
    """Returns the interpreter that runs a method; sys.executable if this process can.

    Others: $CL_REPRO_PYTHON_<PAPER>, else the environment of the paper's name beside this one, else in
    .nox of the checkout.  Raises: UsageError if there is none, with the cure.
    """
    if all(importlib.util.find_spec(name) is not None for name in entry.needs):
        return sys.executable
    given = os.environ.get(VARIABLE + entry.paper.upper())
    places = [Path(given)] if given else [Path(sys.prefix).parent / entry.paper / "bin" / "python"]
    if not given:
        places += [folder / ".nox" / entry.paper / "bin" / "python" for folder in Path(__file__).parents]
    for place in places:
        if place.is_file() and _has(str(place), entry.needs):
            return str(place)
    needs = " and ".join(entry.needs)
    raise UsageError(
        f"{entry.name} needs {needs}; make its environment with `nox -s env-{entry.paper}`, or name its "
        f"Python in {VARIABLE}{entry.paper.upper()}"
    )


@functools.cache
def _has(python: str, needs: tuple[str, ...]) -> bool:
    """Whether another Python has this package and what a paper needs."""
    code = f"import importlib.util as u; assert all(map(u.find_spec, {('clrepro', *needs)!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0


def run_elsewhere(python: str, argv: list[str], work_dir: Path) -> Outcome:
    """Run the arena's program in a process of another Python.

    Raises: FloatingPointError or TimeoutError as the program there did, else RuntimeError with its reason.
    """
    child = _child(python)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(json.dumps({"argv": argv, "work_dir": str(work_dir)}) + "\n")
        child.stdin.flush()
        answer = child.stdout.readline()
    except OSError:
        answer = ""
    if not answer:
        child.kill()
        _end(_children.pop(python))
        raise RuntimeError(f"the process of {python} ended in the middle (out of memory?)")
    body = parse_json_object(answer, "the answer of the other Python")
    if "error" in body:
        kinds = {"FloatingPointError": FloatingPointError, "OverBudget": TimeoutError}
        kind = kinds.get(body["kind"])
        raise kind(body["error"]) if kind else RuntimeError(f"{body['kind']}: {body['error']}")
    return Outcome(**body)


def _child(python: str) -> "subprocess.Popen[str]":
    child = _children.get(python)
    if child is not None and child.poll() is not None:  # it has died between two runs
        _end(_children.pop(python))
        child = None
    if child is None:
        child = subprocess.Popen(
            [python, "-m", "clrepro.arena.elsewhere"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        _children[python] = child
        if len(_children) == 1:
            atexit.register(end_children)
    return child


def end_children() -> None:
    """End the processes of other Pythons; they end by themselves when this one is gone."""
    for child in _children.values():
        _end(child)
    _children.clear()


def _end(child: "subprocess.Popen[str]") -> None:
    """Close the requests, which ends the process unless it is in the middle of a run: then it is killed."""
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):  # what it had not read yet, if it is dead
                stream.close()
    try:
        child.wait(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def check_answer(text: str) -> dict[str, Any]:
    """Returns a request as `elsewhere` gets it.  Raises: DataError."""
    body = parse_json_object(text, "request")
    if not isinstance(body.get("argv"), list) or not isinstance(body.get("work_dir"), str):
        raise DataError("request: expected argv and work_dir")
    return body
