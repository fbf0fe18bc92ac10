"""What `bench.json` and `faults.json` say: speed ratios with scaling lines, and what was survived.

Both are read strictly: an unknown, missing or mistyped field is refused with the file and the field.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from clrepro.errors import DataError
from clrepro.io.regular_files import read_regular_text
from clrepro.records import parse_json_object

SCHEMA = 1
MAX_BYTES = 16 * 2**20
KEPT = ("kept", "missed", "none")


@dataclass(frozen=True)
class Variant:
    """One way of doing the work: the median, lowest and highest cost of a unit over so many rounds."""

    name: str
    median: float
    low: float
    high: float
    rounds: int


@dataclass(frozen=True)
class Ratio:
    """Cost of way `of` over cost of way `to`."""

    of: str
    to: str
    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Benchmark:
    """One thing that was timed, in seconds per unit.

    target: what was promised, in words; clock: "processor" or "wall"; ratio: None if there is no peer;
    promised: the ratio that was promised; verdict: kept, missed or none.
    """

    paper: str
    name: str
    unit: str
    target: str
    clock: str
    variants: tuple[Variant, ...]
    ratio: Ratio | None
    promised: float | None
    verdict: str


@dataclass(frozen=True)
class Line:
    """A line of a scaling plot."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class Scaling:
    """Cost against size; log: both axes are logarithmic."""

    paper: str
    name: str
    x_label: str
    y_label: str
    log: bool
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Bench:
    """The content of bench.json."""

    machine: dict[str, str]
    made: str
    rows: tuple[Benchmark, ...]
    scaling: tuple[Scaling, ...]


@dataclass(frozen=True)
class Fault:
    """One kind of fault: how often it was tried, survived, and what came of the rest."""

    group: str
    name: str
    tried: int
    survived: int
    lost: int
    executed: int
    seconds: float
    note: str


@dataclass(frozen=True)
class Faults:
    """The content of faults.json."""

    machine: dict[str, str]
    made: str
    rows: tuple[Fault, ...]


def read_bench(path: Path) -> Bench:
    """Returns what the file says.  Raises: DataError naming the file and the field that is wrong."""
    body = _body(path, {"schema", "machine", "made", "rows", "scaling"})
    rows = tuple(_benchmark(row, where) for row, where in _items(body["rows"], f"{path}: rows"))
    scaling = tuple(_scaling(one, where) for one, where in _items(body["scaling"], f"{path}: scaling"))
    return Bench(body["machine"], body["made"], rows, scaling)


def read_faults(path: Path) -> Faults:
    """Returns what the file says.  Raises: DataError naming the file and the field that is wrong."""
    body = _body(path, {"schema", "machine", "made", "rows"})
    rows = tuple(_fault(row, where) for row, where in _items(body["rows"], f"{path}: rows"))
    return Faults(body["machine"], body["made"], rows)


def _body(path: Path, names: set[str]) -> dict[str, Any]:
    """The file's object, its frame checked: the schema, the machine as text by name, an ISO time."""
    try:
        text = read_regular_text(path, MAX_BYTES)
    except DataError as problem:
        raise DataError(f"{problem}; make it again") from None
    body = _keys(parse_json_object(text, str(path)), names, str(path))
    if isinstance(body["schema"], bool) or body["schema"] != SCHEMA:
        raise DataError(f"{path}: field 'schema' is {body['schema']!r}; this version reads {SCHEMA}")
    machine = body["machine"]
    if not isinstance(machine, dict) or not all(isinstance(value, str) for value in machine.values()):
        raise DataError(f"{path}: field 'machine' is {machine!r}, expected texts by name")
    try:
        datetime.fromisoformat(_text(body, "made", str(path)))
    except ValueError:
        raise DataError(f"{path}: field 'made' is {body['made']!r}, expected a time as ISO 8601") from None
    return body


def _benchmark(row: Any, where: str) -> Benchmark:
    names = {"paper", "name", "unit", "target", "clock", "variants", "ratio", "promised", "verdict"}
    _keys(row, names, where)
    if row["verdict"] not in KEPT:
        raise DataError(f"{where}: field 'verdict' is {row['verdict']!r}, expected one of {', '.join(KEPT)}")
    return Benchmark(
        paper=_text(row, "paper", where),
        name=_text(row, "name", where),
        unit=_text(row, "unit", where),
        target=_text(row, "target", where),
        clock=_text(row, "clock", where),
        variants=tuple(_variant(one, place) for one, place in _items(row["variants"], f"{where}, variants")),
        ratio=None if row["ratio"] is None else _ratio(row["ratio"], f"{where}, ratio"),
        promised=None if row["promised"] is None else _number(row, "promised", where, positive=True),
        verdict=row["verdict"],
    )


def _ratio(ratio: Any, where: str) -> Ratio:
    _keys(ratio, {"of", "to", "median", "low", "high"}, where)
    return Ratio(
        of=_text(ratio, "of", where),
        to=_text(ratio, "to", where),
        median=_number(ratio, "median", where, positive=True),
        low=_number(ratio, "low", where, positive=True),
        high=_number(ratio, "high", where, positive=True),
    )


def _variant(one: Any, where: str) -> Variant:
    _keys(one, {"name", "median", "low", "high", "rounds"}, where)
    return Variant(
        name=_text(one, "name", where),
        median=_number(one, "median", where),
        low=_number(one, "low", where),
        high=_number(one, "high", where),
        rounds=_count(one, "rounds", where),
    )


def _scaling(one: Any, where: str) -> Scaling:
    _keys(one, {"paper", "name", "x_label", "y_label", "log", "lines"}, where)
    if not isinstance(one["log"], bool):
        raise DataError(f"{where}: field 'log' is {one['log']!r}, expected true or false")
    lines = tuple(_line(line, place) for line, place in _items(one["lines"], f"{where}, lines"))
    if one["log"] and any(value <= 0 for line in lines for value in (*line.x, *line.y)):
        raise DataError(f"{where}: a logarithmic plot with numbers that are not above 0")
    return Scaling(
        paper=_text(one, "paper", where),
        name=_text(one, "name", where),
        x_label=_text(one, "x_label", where),
        y_label=_text(one, "y_label", where),
        log=one["log"],
        lines=lines,
    )


def _line(line: Any, where: str) -> Line:
    _keys(line, {"name", "x", "y"}, where)
    points = {}
    for axis in ("x", "y"):
        if not isinstance(line[axis], list):
            raise DataError(f"{where}: field {axis!r} is {line[axis]!r}, expected a list of numbers")
        numbers = dict(enumerate(line[axis]))
        points[axis] = tuple(_number(numbers, i, f"{where}, {axis}") for i in numbers)
    if len(points["x"]) != len(points["y"]):
        raise DataError(f"{where}: {len(points['x'])} values of x and {len(points['y'])} of y")
    return Line(_text(line, "name", where), points["x"], points["y"])


def _fault(row: Any, where: str) -> Fault:
    names = ("tried", "survived", "lost", "executed")
    _keys(row, {"group", "name", *names, "seconds", "note"}, where)
    counts = {name: _count(row, name, where) for name in names}
    for name, count in counts.items():
        if count > counts["tried"]:
            raise DataError(f"{where}: field {name!r} is {count}, of {counts['tried']} tried")
    return Fault(
        group=_text(row, "group", where),
        name=_text(row, "name", where),
        seconds=_number(row, "seconds", where),
        note=_text(row, "note", where),
        **counts,
    )


def _items(value: Any, where: str) -> list[tuple[Any, str]]:
    """The items of a list, each with its place in words."""
    if not isinstance(value, list):
        raise DataError(f"{where} is a {type(value).__name__}, expected a list")
    return [(item, f"{where} {i}") for i, item in enumerate(value, 1)]


def _keys(value: Any, names: set[str], where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where}: is {value!r}, expected an object")
    if unknown := sorted(set(value) - names):
        raise DataError(f"{where}: unknown field {unknown[0]!r}; allowed are {', '.join(sorted(names))}")
    if missing := sorted(names - set(value)):
        raise DataError(f"{where}: field {missing[0]!r} is missing")
    return value


def _text(row: Mapping[str, Any], name: str, where: str) -> str:
    if not isinstance(row[name], str):
        raise DataError(f"{where}: field {name!r} is {row[name]!r}, expected text")
    return str(row[name])


def _number(row: Mapping[Any, Any], name: Any, where: str, *, positive: bool = False) -> float:
    value = row[name]
    good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    if not good or not math.isfinite(value) or value < 0 or (positive and value == 0):
        expected = "a number above 0" if positive else "a number, 0 or more"
        raise DataError(f"{where}: field {name!r} is {value!r}, expected {expected}")
    return float(value)


def _count(row: Mapping[str, Any], name: str, where: str) -> int:
    value = row[name]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**12:
        raise DataError(f"{where}: field {name!r} is {value!r}, expected an integer, 0 or more")
    return value
