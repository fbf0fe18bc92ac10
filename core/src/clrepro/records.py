"""What one run did: settings, data, code, versions, seed, metrics, series and cost, as one small JSON file.

A record is written once and read by the report, by `cl-repro check` and by people, so the format is strict:
unknown, missing or mistyped fields are refused with the name of the file and of the field, and the last line
is the sha256 of the content, so that a flipped bit never passes for a result.  JSON has no nan: a cell that a
run did not measure is stored as null and read back as nan, infinities as "inf" and "-inf".  A sweep writes a
file per run; records that are kept in the repository are lines of one `records.jsonl` (`clrepro.packed`).
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from clrepro.errors import DataError
from clrepro.io.paths import find
from clrepro.io.regular_files import read_regular_text
from clrepro.io.strict_json import parse_json_object as parse_json_object

SCHEMA = 1
SEAL = "sha256"  # the checksum's key in a file; no field of a record
# diverged: a loss or a weight was no finite number any more; over budget: it took longer than it was given
STATUSES = ("done", "failed", "diverged", "over budget")
_OPTIONAL = {"origin"}  # fields that records of older versions lack; left out of a file where they are empty
MAX_BYTES = 64 * 2**20  # a record with a 100 x 100 matrix has about 200 kB
PACKED = "records.jsonl"  # the name of a file with a record per line
MAX_PACKED_BYTES = 2**30

MAKING = frozenset({"cost", "versions", "origin"})  # how a record was made, not what came out
LONGEST_NAME = 100  # file names are made of two of them, and end at 255 bytes
# No "__" inside a name: it stands for "/" in file names.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*(?:_[A-Za-z0-9.+-]+)*")
_INFINITE = {"inf": math.inf, "-inf": -math.inf}
_TEXT_FIELDS = ("paper", "profile", "setting", "method", "settings_hash", "status", "error")


@dataclass(frozen=True)
class Outcome:
    """What a paper's program hands back to the sweep; numpy arrays and scalars are welcome everywhere.

    Args:
        metrics: name -> fraction or other single number, e.g. {"RA": 0.71}; nan = not measured.
        series: name -> nested lists or arrays of numbers, e.g. {"R": float64 (T, T)}.
        settings: everything that the program was told, after defaults.
        data: name and sha256 of what it read.
        cost: seconds and megabytes by name, e.g. {"train_s": 3.2, "eval_s": 0.4}.
        versions: of the software, where it was another process's; empty: this one's.
    """

    metrics: Mapping[str, float]
    series: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRecord:
    """One finished (or failed) run; `metrics` are fractions (not percent), `series["R"]` is the matrix R.

    `command` keeps {data} and {artefacts} in place of folders, `error` says in one line why a run failed, and
    `origin` which code made it, on what (`clrepro.origin`).

    Raises: DataError on construction when a field has the wrong type or a name cannot be part of a file name.
    """

    paper: str
    profile: str
    setting: str
    method: str
    seed: int
    command: list[str]
    settings: dict[str, Any]
    settings_hash: str
    metrics: dict[str, float]
    series: dict[str, list[Any]] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    status: str = "done"
    error: str = ""
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        _check(self)
        object.__setattr__(self, "metrics", _numbers_from(self.metrics, "metrics"))
        object.__setattr__(self, "cost", _numbers_from(self.cost, "cost"))
        object.__setattr__(self, "series", _numbers_from(self.series, "series"))
        object.__setattr__(self, "settings", plain(self.settings, "settings"))
        object.__setattr__(self, "data", plain(self.data, "data"))

    @property
    def key(self) -> str:
        """The row and seed this record belongs to, e.g. "rotations/5120/meralg1/seed0"."""
        return f"{self.setting}/{self.method}/seed{self.seed}"

    def path(self, out: Path) -> Path:
        """The file that holds this record under the output folder `out`."""
        return record_path(out, self.paper, self.profile, self.setting, self.method, self.seed)

    def comparable(self) -> dict[str, Any]:
        """The JSON form without cost, versions and origin: equal for equal work on any executor."""
        return {name: value for name, value in self._body().items() if name not in MAKING}

    def to_json(self) -> str:
        """Canonical JSON text: sorted keys, one field per line and a checksum, no nan, final newline."""
        body = self._body()
        sealed = [*sorted(body.items()), (SEAL, checksum(body))]
        lines = [f"{json.dumps(name)}: {canonical_json(value)}" for name, value in sealed]
        return "{\n" + ",\n".join(lines) + "\n}\n"

    def to_line(self) -> str:
        """The record as one line of `records.jsonl`, without newline: the fields and checksum of `to_json`.

        What names the run comes first, so that a plain diff shows which run has changed.
        """
        body = self._body()
        named = {name: body[name] for name in ("setting", "method", "seed")}
        sealed = {**named, **dict(sorted(body.items())), SEAL: checksum(body)}
        return "{" + ",".join(f"{json.dumps(name)}:{canonical_json(sealed[name])}" for name in sealed) + "}"

    @classmethod
    def from_json(cls, text: str, where: str = "record") -> "RunRecord":
        """The record in `text`.

        Args: where — file name for the error message.
        Raises: DataError naming `where` and the field.
        """
        body = parse_json_object(text, where)
        seal = body.pop(SEAL, None)
        names = {f.name for f in fields(cls)}
        if unknown := sorted(set(body) - names):
            raise DataError(f"{where}: unknown field {unknown[0]!r}; allowed are {', '.join(sorted(names))}")
        if missing := sorted(names - _OPTIONAL - set(body)):
            raise DataError(f"{where}: field {missing[0]!r} is missing; remove the file and run again")
        try:
            record = cls(**body)
        except DataError as problem:
            raise DataError(f"{where}: {problem}") from None
        check_seal(body, seal, where)
        return record

    def _body(self) -> dict[str, Any]:
        body = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("metrics", "cost", "series"):
            body[name] = numbers_to_json(body[name])
        for name in _OPTIONAL:
            if not body[name]:
                del body[name]
        return body


def checksum(body: Mapping[str, Any]) -> str:
    """Sha256 (hex) of the canonical JSON of `body`."""
    return hashlib.sha256(canonical_json(body).encode()).hexdigest()


def check_seal(body: Mapping[str, Any], seal: object, where: str) -> None:
    """See that a file's content is what was written; `seal` is its checksum, None in files of older versions.

    Raises: DataError naming `where` if it is not.
    """
    if seal is not None and (not _fits_json(body) or seal != checksum(body)):
        raise DataError(f"{where}: damaged (its sha256 does not match its content); remove it and run again")


def _fits_json(body: Mapping[str, Any]) -> bool:
    """Whether the content can be written again: 1e999 is read as an infinity, which no file of ours holds."""
    try:
        canonical_json(body)
    except ValueError:
        return False
    return True


def record_path(out: Path, paper: str, profile: str, setting: str, method: str, seed: int) -> Path:
    """`<out>/<paper>/<profile>/records/<setting, "/" as "__">/<method>/seed<k>.json`."""
    return out / paper / profile / "records" / setting.replace("/", "__") / method / f"seed{seed}.json"


def read_record(path: Path) -> RunRecord:
    """The record in the file `path`.  Raises: DataError when it is missing, unreadable or not a record."""
    try:
        text = read_regular_text(path, MAX_BYTES)
    except DataError as problem:
        raise DataError(f"{problem}; so it is no run record, remove it and run again") from None
    return RunRecord.from_json(text, str(path))


def read_packed(path: Path) -> tuple[list[RunRecord], list[str]]:
    """The records in the lines of the file `path`, and one line per line that is no good record.

    Raises: DataError if the file cannot be read as text.  A file that was cut at the end of a line reads as
        one with fewer records, as a folder does whose files were deleted.
    """
    records: list[RunRecord] = []
    problems: list[str] = []
    seen: set[str] = set()
    for number, line in enumerate(read_regular_text(path, MAX_PACKED_BYTES).rstrip("\n").split("\n"), 1):
        where = f"{path}: line {number}"
        try:
            if len(line) > MAX_BYTES:
                raise DataError(f"{where}: more than {MAX_BYTES} characters, so it is no run record")
            record = RunRecord.from_json(line, where)
            if (name := f"{record.paper}/{record.profile}/{record.key}") in seen:
                raise DataError(f"{where}: repeats {name}; remove one of the two lines")
        except DataError as problem:
            problems.append(str(problem))
            continue
        seen.add(name)
        records.append(record)
    return records, problems


def record_files(folder: Path) -> tuple[list[Path], list[str]]:
    """The files below `folder` that hold a record or `PACKED` ones, sorted; a line per folder not listed."""
    found, problems = find(folder, "*.json*", folders_too=True)
    files = []
    for path in found:
        parts = set(path.relative_to(folder).parts)
        if "records" not in parts and parts & {"work", "artefacts", "data"}:
            continue  # these folders of a sweep hold a program's own files
        if path.name == PACKED or fnmatchcase(path.name, "seed*.json"):
            files.append(path)
    return files, problems


def load_many(folder: Path) -> tuple[list[RunRecord], list[str]]:
    """All records below `folder`, in files of their own or packed, in the order of their paths; and one line
    per file, or line of a packed file, that is no good record.

    Half-written, corrupt or foreign files never stop the reading: they become problems.
    """
    records: list[RunRecord] = []
    files, problems = record_files(folder)
    for path in files:
        try:
            found, bad = read_packed(path) if path.name == PACKED else ([read_record(path)], [])
        except DataError as problem:
            problems.append(str(problem))
            continue
        records += found
        problems += bad
    return records, problems


def check_name(value: str, what: str) -> str:
    """`value`, if every part between "/" may be part of a file name, and all of it.  Raises: DataError."""
    if not all(_NAME.fullmatch(part) for part in value.split("/")):
        allowed = "letters, digits, '.', '+', '-' and single '_' (and '/' in a setting)"
        raise DataError(f"{what} {value[:200]!r} is not allowed; use {allowed}")
    if len(value.replace("/", "__")) > LONGEST_NAME:
        n = len(value)
        raise DataError(f"{what} {value[:40]!r}… has {n} characters; at most {LONGEST_NAME} are allowed")
    return value


def plain(value: Any, where: str = "value") -> Any:
    """`value` with numpy scalars, arrays and tuples turned into JSON's own types.

    Raises: DataError naming `where`.
    """
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist(), where)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise DataError(f"{where} is {value}, which is allowed in metrics, series and cost only")
        return value
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        if bad := [key for key in value if not isinstance(key, str)]:
            raise DataError(f"{where} has the key {bad[0]!r}; keys are text")
        return {key: plain(item, f"{where}.{key}") for key, item in value.items()}
    raise DataError(f"{where} is a {type(value).__name__}; allowed are numbers, text, lists, dicts")


def canonical_json(value: Any) -> str:
    """The one JSON text for `value`: sorted keys, no blanks, no nan."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _check(record: RunRecord) -> None:
    for name in _TEXT_FIELDS:
        if not isinstance(getattr(record, name), str):
            raise DataError(f"field {name!r} is {getattr(record, name)!r}, expected text")
    for name in ("paper", "profile", "setting", "method"):
        check_name(getattr(record, name), f"field {name!r}:")
    for name in ("paper", "profile", "method"):
        if "/" in getattr(record, name):
            raise DataError(f"field {name!r} is {getattr(record, name)!r}; '/' is allowed in a setting only")
    if isinstance(record.seed, bool) or not isinstance(record.seed, int) or record.seed < 0:
        raise DataError(f"field 'seed' is {record.seed!r}, expected an integer >= 0")
    if isinstance(record.schema, bool) or record.schema != SCHEMA:
        raise DataError(f"field 'schema' is {record.schema!r}; this version reads {SCHEMA}")
    if record.status not in STATUSES:
        raise DataError(f"field 'status' is {record.status!r}, expected one of {', '.join(STATUSES)}")
    if not isinstance(record.command, list) or not all(isinstance(word, str) for word in record.command):
        raise DataError(f"field 'command' is {record.command!r}, expected a list of text")
    for name in ("settings", "metrics", "series", "data", "versions", "origin", "cost"):
        if not isinstance(getattr(record, name), Mapping):
            raise DataError(f"field {name!r} is a {type(getattr(record, name)).__name__}, expected an object")
    for part in ("versions", "origin"):
        for name, value in getattr(record, part).items():
            if not isinstance(name, str) or not isinstance(value, str):
                raise DataError(f"field '{part}.{name}' is {value!r}, expected text")


def _numbers_from(value: Any, where: str) -> Any:
    """`value` with every leaf a number: null -> nan, "inf" -> infinity; only series are lists."""
    body = {name: _number_tree(item, f"{where}.{name}") for name, item in value.items()}
    for name, item in body.items():
        if isinstance(item, list) != (where == "series"):
            expected = "a list" if where == "series" else "a number"
            raise DataError(f"field '{where}.{name}' is {item!r}, expected {expected}")
        if where != "series":
            body[name] = float(item)
    return body


def _number_tree(value: Any, where: str) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_number_tree(item, where) for item in value]
    if value is None:
        return math.nan
    if isinstance(value, str) and value in _INFINITE:
        return _INFINITE[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"field {where!r} holds {value!r}, expected numbers")
    if isinstance(value, int) and abs(value) > 2**63:
        raise DataError(f"field {where!r} holds an integer of {value.bit_length()} bits, expected at most 64")
    return value


def numbers_to_json(value: Any) -> Any:
    """`value`, nested dicts and lists of numbers, as JSON can hold it: nan as null, infinities as text."""
    if isinstance(value, dict):
        return {name: numbers_to_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [numbers_to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value
