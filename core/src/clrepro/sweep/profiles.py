"""Profile files: which commands reproduce a paper's tables, with which seeds, after which preparation.

`papers/<p>/profiles.toml` has one table per profile:

    [quick]
    seeds = [0, 1, 2]
    data_note = "embedded MNIST subset"
    prepare = [["get_data.py", "rotations", "--source", "quick", "--out_dir", "{data}"]]
    [[quick.row]]
    setting = "rotations/200"
    method = "meralg1"
    command = "main.py --model meralg1 --data_path {data}/ --save_path {artefacts}/ --seed {seed}"
    seconds = 7                 # optional: expected run time on one core
    seeds = [0]                 # optional: instead of the profile's

Anything else in the file is an error that names the file and the key.
"""

import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from clrepro.errors import DataError, UsageError
from clrepro.io.paths import is_file
from clrepro.io.strict_json import load_toml
from clrepro.records import check_name
from clrepro.sweep.jobs import PLACEHOLDERS, Job, fill

_PROFILE_KEYS = {"seeds", "data_note", "prepare", "row"}
_ROW_KEYS = {"setting", "method", "command", "seconds", "seeds"}
MAX_RUNS = 100_000  # of a sweep, and rows of a sweep file; ten times what docs/scale.md was measured with
_PLACEHOLDER = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True)
class Row:
    """One line of a table: the same command for every seed."""

    setting: str
    method: str
    command: list[str]
    seconds: float = 0.0
    seeds: list[int] | None = None


@dataclass(frozen=True)
class Profile:
    """What `papers/<paper>/profiles.toml` says under one name; `folder` is the paper's folder."""

    paper: str
    name: str
    folder: Path
    seeds: list[int]
    rows: list[Row]
    prepare: list[list[str]]
    data_note: str = ""


def paper_names(home: Path) -> list[str]:
    """The papers of the checkout `home` that have a profile file, in the order that `place` in their claims
    files says, the others by name after them.
    """
    found = [path.parent for path in home.glob("papers/*/profiles.toml")]
    return [folder.name for folder in sorted(found, key=lambda folder: (_place(folder), folder.name))]


def _place(folder: Path) -> float:
    try:
        place = load_toml(folder / "claims.toml").get("place")
    except DataError:  # whoever reads the claims themselves says what is wrong
        return math.inf
    return place if isinstance(place, int) and place > 0 else math.inf


def load_profiles(home: Path, paper: str) -> dict[str, Profile]:
    """All profiles of `paper`, by name.

    Raises: UsageError if there is no such paper; DataError naming file and key if its profile file is wrong.
    """
    path = home / "papers" / paper / "profiles.toml"
    if not is_file(path):
        raise UsageError(f"no paper {paper!r}; there are {', '.join(paper_names(home)) or 'none'} (or 'all')")
    return {name: parse_profile(table, paper, name, path) for name, table in load_toml(path).items()}


def load_profile(home: Path, paper: str, name: str) -> Profile:
    """The profile `name` of `paper`.  Raises: as `load_profiles`; UsageError if there is no such profile."""
    profiles = load_profiles(home, paper)
    if name not in profiles:
        raise UsageError(f"paper {paper!r} has no profile {name!r}; it has {', '.join(profiles) or 'none'}")
    return profiles[name]


def expand(profile: Profile, n_seeds: int | None = None, data_sha256: str = "") -> list[Job]:
    """One job per row and seed, in the order of the file.

    Args:
        n_seeds: seeds per row instead of the profile's: its first ones, then the next unused integers.
        data_sha256: what `prepare` returned; part of the settings hash.
    Raises: UsageError if that makes more than `MAX_RUNS` jobs, before the first is made.
    """
    check_size(profile, n_seeds)
    jobs = []
    for row in profile.rows:
        for seed in _first_seeds(row.seeds or profile.seeds, n_seeds):
            command = [fill(word, {"seed": str(seed)}) for word in row.command]
            job = Job(
                profile.paper, profile.name, row.setting, row.method, seed, command, data_sha256, row.seconds
            )
            jobs.append(job)
    return jobs


def check_size(profile: Profile, n_seeds: int | None) -> None:
    """Raises: UsageError if `expand` would make more than `MAX_RUNS` jobs; none is made."""
    if (n_runs := count_runs(profile, n_seeds)) > MAX_RUNS:
        raise UsageError(
            f"{profile.paper} {profile.name}: {n_runs:,} runs asked for, of at most {MAX_RUNS:,};"
            " ask for fewer seeds or rows"
        )


def count_runs(profile: Profile, n_seeds: int | None = None, only: str | None = None) -> int:
    """How many jobs `expand` makes of the rows that match the glob `only` (None = all); none is made."""
    rows = (row for row in profile.rows if only is None or fnmatchcase(f"{row.setting}/{row.method}", only))
    return sum(n_seeds or len(row.seeds or profile.seeds) for row in rows)


def _first_seeds(seeds: Sequence[int], n_seeds: int | None) -> list[int]:
    if n_seeds is None:
        return list(seeds)
    more = (seed for seed in range(n_seeds + len(seeds)) if seed not in seeds)
    return [*seeds, *more][:n_seeds]


def parse_profile(table: Any, paper: str, name: str, path: Path, folder: Path | None = None) -> Profile:
    """The profile in `table`, read from the file `path`; the paper's folder is `folder`, or the file's.

    Raises: DataError naming file and key.
    """
    where = f"{path}: [{name}]"
    check_keys(table, _PROFILE_KEYS, {"seeds", "row"}, where)
    check_name(name, f"{where}: the profile's name")
    prepare = table.get("prepare", [])
    if not isinstance(prepare, list) or not all(_is_texts(step) and step for step in prepare):
        raise DataError(f"{where}: prepare is {prepare!r}, expected a list of lists of text")
    for step in prepare:
        _check_placeholders(step, {"data"}, f"{where}: prepare")
    if not isinstance(table.get("data_note", ""), str):
        raise DataError(f"{where}: data_note is {table['data_note']!r}, expected text")
    if not isinstance(table["row"], list) or not table["row"]:
        raise DataError(f"{where}: row must be given as [[{name}.row]] at least once")
    rows = [_row(row, f"{path}: [[{name}.row]] number {i}") for i, row in enumerate(table["row"], 1)]
    seen: set[tuple[str, str]] = set()
    for row in rows:
        if (row.setting, row.method) in seen:
            raise DataError(f"{where}: setting {row.setting!r} with method {row.method!r} occurs twice")
        seen.add((row.setting, row.method))
    seeds = check_seeds(table["seeds"], f"{where}: seeds")
    return Profile(paper, name, folder or path.parent, seeds, rows, prepare, table.get("data_note", ""))


def _row(table: Any, where: str) -> Row:
    check_keys(table, _ROW_KEYS, {"setting", "method", "command"}, where)
    for key in ("setting", "method", "command"):
        if not isinstance(table[key], str) or not table[key]:
            raise DataError(f"{where}: {key} is {table[key]!r}, expected text")
    check_name(table["setting"], f"{where}: setting")
    check_name(table["method"], f"{where}: method")
    if "/" in table["method"]:
        raise DataError(f"{where}: method {table['method']!r} must not contain '/'")
    try:
        command = shlex.split(table["command"])
    except ValueError as problem:
        raise DataError(f"{where}: command cannot be split into words ({problem})") from None
    _check_placeholders(command, {"seed", *PLACEHOLDERS}, f"{where}: command")
    if not any("{seed}" in word for word in command):
        raise DataError(f"{where}: command has no {{seed}}, so every seed would give the same run")
    seconds = table.get("seconds", 0)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 1e7:
        raise DataError(f"{where}: seconds is {seconds!r}, expected a number >= 0")
    seeds = check_seeds(table["seeds"], f"{where}: seeds") if "seeds" in table else None
    return Row(table["setting"], table["method"], command, float(seconds), seeds)


def check_keys(table: Any, allowed: set[str], needed: set[str], where: str) -> None:
    """Raises: DataError if `table` is no table, has keys that are not allowed or lacks needed ones."""
    if not isinstance(table, dict):
        raise DataError(f"{where}: is {table!r}, expected a table")
    if unknown := sorted(set(table) - allowed):
        raise DataError(f"{where}: unknown key {unknown[0]!r}; allowed are {', '.join(sorted(allowed))}")
    if missing := sorted(needed - set(table)):
        raise DataError(f"{where}: key {missing[0]!r} is missing")


def check_seeds(value: Any, where: str) -> list[int]:
    """`value`, a list of different seeds.  Raises: DataError naming `where`."""
    good = isinstance(value, list) and all(type(seed) is int and 0 <= seed < 2**31 for seed in value)
    if not good or not value or len(set(value)) != len(value):
        raise DataError(f"{where} is {value!r}, expected different integers >= 0, at least one")
    return list(value)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _check_placeholders(words: list[str], allowed: set[str], where: str) -> None:
    for name in (name for word in words for name in _PLACEHOLDER.findall(word)):
        if name not in allowed:
            names = ", ".join("{" + each + "}" for each in sorted(allowed))
            raise DataError(f"{where} has the placeholder {{{name}}}; allowed are {names}")
