"""Sweep files: rows of several papers, grids over their flags, and what a cluster should give each run.

    name = "rates"                          # profile name of the rows below, in records and tables
    seeds = [0, 1, 2]

    [[profile]]                             # rows of a paper's own profiles.toml ...
    paper = "ta_agem"
    profile = "full"
    only = "mnist*/*"                       # optional: as `cl-repro reproduce --only`
    seeds = 5                               # optional: seeds per row

    [[row]]                                 # ... and rows of one's own, one for each point of the grid
    paper = "mer"
    setting = "rotations/rate-{rate}"
    method = "online"
    command = "main.py --model online --lr {rate} --data_path {data}/ --save_path {artefacts}/ --seed {seed}"
    grid = { rate = [0.01, 0.03] }          # optional
    seconds = 7                             # optional

    [prepare]                               # optional: data files of the rows above, as in profiles.toml
    mer = [["get_data.py", "rotations", "--source", "quick", "--out_dir", "{data}"]]

    [share]                                 # optional: what a run gets on a cluster
    cpus = 1
    gpus = 0
    memory_gb = 4                           # of memory; 0: what the cluster gives unasked
    retries = 3                             # times a run whose worker was lost is tried again
    [share.hvcl]                            # optional: of one paper
    gpus = 0.25
    python = "/opt/venvs/hvcl/bin/python"   # its environment on the nodes; or: image = "cl-repro:hvcl"
    env = { CL_REPRO_DATA = "/data" }
    resources = { big = 1 }                 # of one's own cluster

    [slurm]                                 # optional: for `--executor slurm` and `--slurm`
    lines = ["--partition=short"]           # flags of sbatch, such as --time, which are taken before ours
    setup = ["source .nox/mer/bin/activate"]
    tasks = 20                              # of the array; each runs its part of the jobs
    time_factor = 3                         # the time limit is that many times what the rows' seconds say

Anything else in the file is an error that names the file and the key.
"""

import itertools
import math
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from clrepro.errors import DataError
from clrepro.io.paths import is_dir
from clrepro.io.strict_json import load_toml
from clrepro.records import check_name
from clrepro.sweep.profiles import MAX_RUNS, Profile, check_keys, load_profile, parse_profile

_KEYS = {"name", "seeds", "profile", "row", "prepare", "share", "slurm"}
_ROW_KEYS = {"paper", "setting", "method", "command", "grid", "seconds", "seeds"}
_FILLED_LATER = ("seed", "data", "artefacts")


@dataclass(frozen=True)
class Part:
    """Rows of one profile: those matching the glob `only`, `n_seeds` seeds each (None = all; its own)."""

    profile: Profile
    only: str | None = None
    n_seeds: int | None = None


@dataclass(frozen=True)
class Share:
    """What a run gets on a cluster: processors, (parts of) accelerators, memory in GB (10^9 bytes; 0: not
    asked for), environment, own resources.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory_gb: float = 0.0
    retries: int = 3
    python: str = ""
    image: str = ""
    env: dict[str, str] = field(default_factory=dict)
    resources: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Slurm:
    """What the array template needs beyond the jobs: lines for sbatch, shell lines before the run, tasks, and
    the time limit over the rows' own seconds.
    """

    lines: list[str] = field(default_factory=list)
    setup: list[str] = field(default_factory=list)
    tasks: int = 10
    time_factor: float = 3.0


@dataclass(frozen=True)
class Spec:
    """A sweep file: what to run, and with what; `shares` has the papers with a table of their own."""

    path: Path
    parts: list[Part]
    share: Share = field(default_factory=Share)
    shares: dict[str, Share] = field(default_factory=dict)
    slurm: Slurm = field(default_factory=Slurm)

    def share_of(self, paper: str) -> Share:
        """What a run of `paper` gets."""
        return self.shares.get(paper, self.share)


def load_spec(path: Path, home: Path) -> Spec:
    """The sweep file `path`, for the papers of the checkout `home`.

    Raises: DataError naming file and key; UsageError if it names a paper or profile that is not there.
    """
    table = load_toml(path)
    check_keys(table, _KEYS, set(), str(path))
    parts = [*_borrowed(table, path, home), *_own(table, path, home)]
    if not parts:
        raise DataError(f"{path}: neither [[profile]] nor [[row]] is given, so there is nothing to run")
    names = [(part.profile.paper, part.profile.name) for part in parts]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DataError(f"{path}: paper {twice[0]!r} with profile {twice[1]!r} occurs twice")
    return Spec(path, parts, *_shares(table, path, home), _slurm(table, path))


def _borrowed(table: dict[str, Any], path: Path, home: Path) -> Iterator[Part]:
    for number, entry in enumerate(_tables(table, "profile", path), 1):
        where = f"{path}: [[profile]] number {number}"
        check_keys(entry, {"paper", "profile", "only", "seeds"}, {"paper", "profile"}, where)
        _need(
            all(isinstance(entry[key], str) for key in {"paper", "profile", "only"} & set(entry)),
            where,
            "text",
        )
        seeds = entry.get("seeds")
        good = seeds is None or (type(seeds) is int and 0 < seeds <= MAX_RUNS)
        _need(good, f"{where}: seeds", f"an integer from 1 to {MAX_RUNS:,}")
        yield Part(load_profile(home, entry["paper"], entry["profile"]), entry.get("only"), seeds)


def _own(table: dict[str, Any], path: Path, home: Path) -> Iterator[Part]:
    """One part per paper for the rows of the file itself."""
    rows: dict[str, list[dict[str, Any]]] = {}
    n_points = 0
    for number, row in enumerate(_tables(table, "row", path), 1):
        where = f"{path}: [[row]] number {number}"
        check_keys(row, _ROW_KEYS, {"paper", "setting", "method", "command"}, where)
        n_points += _n_points(row, where)
        most = f"at most {MAX_RUNS:,} rows in all, not {n_points:,}"
        _need(n_points <= MAX_RUNS, f"{where}: grid", most)
        paper = row["paper"]
        if not isinstance(paper, str) or not is_dir(home / "papers" / check_name(paper, where)):
            raise DataError(f"{where}: no paper {paper!r} in {home}")
        rows.setdefault(paper, []).extend(_points(row))
    steps = table.get("prepare", {})
    check_keys(steps, set(rows), set(), f"{path}: [prepare]")
    if not rows:
        return
    name = table.get("name")
    if not isinstance(name, str):
        raise DataError(f"{path}: name is {name!r}, expected text; it tells these rows from a paper's own")
    for paper, own in rows.items():
        body = {"seeds": table.get("seeds", [0]), "row": own, "prepare": steps.get(paper, [])}
        yield Part(parse_profile(body, paper, name, path, home / "papers" / paper))


def _n_points(row: dict[str, Any], where: str) -> int:
    """How many points the grid of `row` has; the grid is checked, and no point is made."""
    grid = row.get("grid", {})
    good = isinstance(grid, dict) and all(
        isinstance(values, list) and values and all(type(value) in (int, float, str) for value in values)
        for values in grid.values()
    )
    _need(good, f"{where}: grid", "a table of lists of numbers or text, e.g. { lr = [0.1, 0.01] }")
    if clash := set(grid) & set(_FILLED_LATER):
        raise DataError(f"{where}: grid has the name {min(clash)!r}, which means something else")
    return math.prod(map(len, grid.values()))


def _points(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """`row` once for each point of its grid, without the keys that profile files do not know."""
    grid = row.get("grid", {})
    plain = {key: value for key, value in row.items() if key not in ("paper", "grid")}
    for point in itertools.product(*grid.values()):
        words = {name: str(value) for name, value in zip(grid, point, strict=True)}
        yield {key: _filled(value, words) for key, value in plain.items()}


def _filled(value: Any, words: dict[str, str]) -> Any:
    """`value` with {name} replaced for the names of `words`, if it is text."""
    if not isinstance(value, str) or not words:
        return value
    pattern = re.compile(r"\{(" + "|".join(map(re.escape, words)) + r")\}")
    return pattern.sub(lambda found: words[found[1]], value)


def _shares(table: dict[str, Any], path: Path, home: Path) -> tuple[Share, dict[str, Share]]:
    """The share of all papers, and those of single papers, which begin from it."""
    body = table.get("share", {})
    where = f"{path}: [share]"
    names = {field.name for field in fields(Share)}
    papers = {folder.parent.name for folder in home.glob("papers/*/src")}
    check_keys(body, names | papers, set(), where)
    general = {key: value for key, value in body.items() if key in names}
    own = {}
    for paper in sorted(set(body) & papers):
        check_keys(body[paper], names, set(), f"{path}: [share.{paper}]")
        own[paper] = _share(general | body[paper], f"{path}: [share.{paper}]")
    return _share(general, where), own


def _share(body: dict[str, Any], where: str) -> Share:
    for key in {"cpus", "gpus", "memory_gb"} & set(body):
        _need(type(body[key]) in (int, float) and 0 <= body[key] < 1e4, f"{where}: {key}", "a number >= 0")
    _need(
        type(body.get("retries", 0)) is int and body.get("retries", 0) >= 0,
        f"{where}: retries",
        "an integer >= 0",
    )
    for key in {"python", "image"} & set(body):
        _need(isinstance(body[key], str), f"{where}: {key}", "text")
    if body.get("python") and body.get("image"):
        raise DataError(f"{where}: python and image are both given; an image brings its own")
    for key, kinds, what in (("env", (str,), "text"), ("resources", (int, float), "a number")):
        values = body.get(key, {})
        good = isinstance(values, dict) and all(type(value) in kinds for value in values.values())
        _need(good, f"{where}: {key}", f"a table with {what} for each name")
    return Share(**body)


def _slurm(table: dict[str, Any], path: Path) -> Slurm:
    body, where = table.get("slurm", {}), f"{path}: [slurm]"
    check_keys(body, {field.name for field in fields(Slurm)}, set(), where)
    for key in {"lines", "setup"} & set(body):
        good = isinstance(body[key], list) and all(isinstance(line, str) for line in body[key])
        _need(good and not any("\n" in line for line in body[key]), f"{where}: {key}", "a list of lines")
    for line in body.get("lines", []):
        _need(line.startswith("-") and bool(shlex.split(line)), f"{where}: lines", "flags of sbatch")
    tasks = body.get("tasks", 1)
    _need(type(tasks) is int and 1 <= tasks <= 100_000, f"{where}: tasks", "an integer from 1 to 100000")
    factor = body.get("time_factor", 1.0)
    _need(
        type(factor) in (int, float) and 1 <= factor <= 1000,
        f"{where}: time_factor",
        "a number from 1 to 1000",
    )
    return Slurm(**body)


def _tables(table: dict[str, Any], key: str, path: Path) -> list[Any]:
    entries = table.get(key, [])
    if not isinstance(entries, list):
        raise DataError(f"{path}: {key} must be given as [[{key}]]")
    return entries


def _need(good: bool, where: str, expected: str) -> None:
    if not good:
        raise DataError(f"{where}: expected {expected}")
