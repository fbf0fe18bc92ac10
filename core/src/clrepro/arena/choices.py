"""Which rows a method has: its own defaults, and options that a stated rule has chosen (`tuning`).

Choices are kept in one JSON file: stream -> rule -> method -> options, value, finished, drawn.  Those of the
suite's own methods come with the package; those below an output folder win.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from clrepro.arena.methods import Entry
from clrepro.arena.runs import Row
from clrepro.arena.streams import Plan
from clrepro.arena.tuning import RULES, Choice, K
from clrepro.errors import DataError, UsageError
from clrepro.io.atomic import make_folder, write_atomically
from clrepro.io.paths import is_file
from clrepro.io.strict_json import load_json_object

FILE = "choices.json"
ROWS = ("default", "tuned", "all")
Choices = dict[str, dict[str, dict[str, Choice]]]


def read_choices(path: Path) -> Choices:
    """Returns the choices in a file, none if it is not there.  Raises: DataError."""
    if not is_file(path):
        return {}
    try:
        return {
            stream: {
                rule: {method: Choice(**body) for method, body in methods.items()}
                for rule, methods in rules.items()
            }
            for stream, rules in load_json_object(path).items()
        }
    except (AttributeError, TypeError) as problem:
        raise DataError(f"{path}: no choices of the arena ({problem}); remove it and tune again") from None


def write_choices(path: Path, choices: Choices) -> None:
    """Write choices to a file, sorted."""
    body = {
        stream: {
            rule: {name: _plain(one) for name, one in methods.items()} for rule, methods in rules.items()
        }
        for stream, rules in choices.items()
    }
    make_folder(path.parent)
    write_atomically(path, (json.dumps(body, indent=1, sort_keys=True) + "\n").encode())


def _plain(choice: Choice) -> dict[str, Any]:
    return asdict(choice) | {"options": dict(choice.options)}


def known_choices(out: Path) -> Choices:
    """Returns the choices that come with the package, and over them those below an output folder."""
    merged = read_choices(Path(str(files("clrepro.arena").joinpath(FILE))))
    for stream, rules in read_choices(out / "arena" / FILE).items():
        for rule, methods in rules.items():
            merged.setdefault(stream, {}).setdefault(rule, {}).update(methods)
    return merged


def rows_of(entry: Entry, plan: Plan, which: str, choices: Choices) -> list[Row]:
    """Returns a method's rows on a stream.

    Args: which — one of `ROWS`.  Raises: UsageError for "tuned" if no rule has chosen anything for it.
    """
    tuned = [
        Row(entry, choices[plan.name][rule][entry.name].options, rule)
        for rule in RULES
        if entry.name in choices.get(plan.name, {}).get(rule, {})
    ]
    if which == "tuned" and not tuned and getattr(entry.kind, "SPACE", None):
        raise UsageError(
            f"{entry.name} is not tuned on {plan.name}; do it with: cl-repro compare tune --stream "
            f"{plan.data}-{plan.kind} --methods {entry.name}"
        )
    return [*([Row(entry)] if which != "tuned" else []), *(tuned if which != "default" else [])]


def not_comparable(choices: Mapping[str, Mapping[str, Mapping[str, Choice]]], plan: Plan) -> list[str]:
    """Returns a line for each choice on a stream that was made from fewer than K draws."""
    return [
        f"{method}+{rule}: {choice.drawn} of {K} draws, not comparable"
        for rule, methods in choices.get(plan.name, {}).items()
        for method, choice in methods.items()
        if choice.drawn < K
    ]
