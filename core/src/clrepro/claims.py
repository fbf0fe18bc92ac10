"""What ought to come out: targets with their source and status, read from a paper's claims file.

`papers/<p>/claims.toml` is the only place where a target number is written.  It holds `value` (a cell of a
table), `ordering` (one method does at least as well as another) and `gap` (the lead of one method over
another is larger in one setting than in another), all in percent and each for one profile.  A value may have
a second reference of another status, and a doubt about the first.

How they are judged: clrepro.verdicts; docs/verdicts.md tells it to the reader of a table.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from clrepro.errors import DataError
from clrepro.io.strict_json import load_toml

STATUSES = {
    "found": "read in the source named",
    "derived": "computed from numbers or facts that were read",
    "measured": "measured by running the original code",
    "logs": "from the authors' own run logs",
    "recalled": "recalled from the literature, not checked against the paper",
    "second-hand": "stated by a third party about the paper",
    "not-found": "looked for and not found",
}
SPREADS = ("sample sd", "population sd", "standard error")
COMPARISONS = ("higher", "lower", "nearer-zero")
# A source that gives ± without saying over how many seeds: the fewest that a ± usually stands for.
UNKNOWN_N = 3
PERCENT = 100.0
# Keys that may hold a list in the file: the claim then stands for every combination.
LISTS = ("setting", "method", "metric", "better", "worse")
MAX_CELLS = 10_000  # that one table of the file may stand for
_KINDS: dict[Any, Any] = {str: str, int: int, float: int | float}
_Claim = TypeVar("_Claim", "Value", "Ordering", "Gap")


@dataclass(frozen=True)
class Reference:
    """A target in percent: value ± spread over n seeds; spread and n as far as the source gives them."""

    value: float
    spread: float | None = None
    n: int | None = None
    spread_kind: str = "sample sd"

    @property
    def sd(self) -> float:
        """Sample standard deviation over seeds, 0.0 where the source gives none."""
        if self.spread is None:
            return 0.0
        n = self.n or UNKNOWN_N
        if self.spread_kind == "standard error":
            return self.spread * math.sqrt(n)
        return self.spread * math.sqrt(n / (n - 1)) if self.spread_kind == "population sd" else self.spread


@dataclass(frozen=True)
class Second:
    """Another target of the same cell, of another status: what the original gave when it was run, say."""

    reference: Reference
    status: str
    source: str


@dataclass(frozen=True)
class Value:
    """One cell.  `reference` is None for status not-found; then `source` says why.

    doubt: why the reference itself may be wrong, as a sentence without its full stop; "" for no such reason.
    """

    profile: str
    setting: str
    method: str
    metric: str
    status: str
    source: str
    reference: Reference | None = None
    tolerance_pct: float = 1.5
    note: str = ""
    second: Second | None = None
    doubt: str = ""


@dataclass(frozen=True)
class Ordering:
    """`better` does at least as well as `worse`, but for the slack, in one setting (or `worse_setting`).

    A negative slack asks for a lead of so many points.  `compare`: which values are good, the higher, the
    lower, or those nearer zero.
    """

    profile: str
    claim: str
    setting: str
    metric: str
    better: str
    worse: str
    slack_pct: float
    min_seeds: int = 3
    worse_setting: str = ""
    compare: str = "higher"

    def sides(self) -> list[tuple[int, tuple[str, str]]]:
        """Sign and (setting, method) of the values whose signed sum is the lead."""
        return [(1, (self.setting, self.better)), (-1, (self.worse_setting or self.setting, self.worse))]

    @property
    def text(self) -> str:
        """The claim in words."""
        where = f" ({self.worse_setting})" if self.worse_setting else ""
        sign = {"higher": "≥", "lower": "≤", "nearer-zero": "nearer 0 than"}[self.compare]
        return f"{self.setting}: {self.metric} of {self.better} {sign} {self.worse}{where}"


@dataclass(frozen=True)
class Gap:
    """The lead of `better` over `worse` in setting `larger` is at least that in `smaller`, but for the slack.

    `compare` as in Ordering.
    """

    profile: str
    claim: str
    metric: str
    better: str
    worse: str
    larger: str
    smaller: str
    slack_pct: float
    min_seeds: int = 3
    compare: str = "higher"

    def sides(self) -> list[tuple[int, tuple[str, str]]]:
        """Sign and (setting, method) of the values whose signed sum is the difference of the two leads."""
        return [
            (1, (self.larger, self.better)),
            (-1, (self.larger, self.worse)),
            (-1, (self.smaller, self.better)),
            (1, (self.smaller, self.worse)),
        ]

    @property
    def text(self) -> str:
        """The claim in words."""
        return f"{self.metric} lead of {self.better} over {self.worse}: {self.larger} ≥ {self.smaller}"


@dataclass(frozen=True)
class Claims:
    """A paper's claims file.

    `metrics`: name to its caption, in the order of the tables; `scales`: by what a record's value is
    multiplied for them, where that is not 100, which makes percent of a share; `name`: of the method, short;
    `place`: in the order of reading, 0 for none.
    """

    title: str
    metrics: Mapping[str, str]
    notes: Sequence[str] = field(default_factory=tuple)
    values: Sequence[Value] = field(default_factory=tuple)
    orderings: Sequence[Ordering | Gap] = field(default_factory=tuple)
    scales: Mapping[str, float] = field(default_factory=dict)
    name: str = ""
    place: int = 0

    def scale(self, metric: str) -> float:
        """Returns what a record's value is multiplied by."""
        return self.scales.get(metric, PERCENT)

    def value(self, profile: str, setting: str, method: str, metric: str) -> Value | None:
        """Returns the claim about one cell, if there is one."""
        wanted = (profile, setting, method, metric)
        for one in self.values:
            if (one.profile, one.setting, one.method, one.metric) == wanted:
                return one
        return None


def load_claims(path: Path) -> Claims:
    """Returns the claims in a file.  Raises: DataError naming the file and the key that is wrong."""
    content = load_toml(path, "claims file")
    known = {"name", "place", "title", "metrics", "notes", "sources", "scales", "value", "ordering", "gap"}
    if unknown := set(content) - known:
        raise DataError(f"{path}: unknown key {min(unknown)!r}; known: {', '.join(sorted(known))}")
    metrics, notes = content.get("metrics"), content.get("notes", [])
    if not isinstance(content.get("title"), str) or not _texts(metrics, dict) or not metrics:
        raise DataError(f"{path}: needs a title and a [metrics] table of names and captions")
    if not _texts(notes, list) or not _texts(content.get("sources", {}), dict):
        raise DataError(f"{path}: notes is a list of sentences, [sources] a table of names and sentences")
    scales = content.get("scales", {})
    if not isinstance(scales, dict) or any(not _is_scale(name, scales[name], metrics) for name in scales):
        raise DataError(f"{path}: [scales] is a table of metrics and positive numbers")
    name, place = content.get("name", ""), content.get("place", 0)
    if not isinstance(name, str) or type(place) is not int or place < 0:
        raise DataError(f"{path}: name is a text, place an integer from 0 on")
    values = _section(Value, content, path)
    orderings: list[Ordering | Gap] = [*_section(Ordering, content, path), *_section(Gap, content, path)]
    return Claims(content["title"], metrics, notes, values, orderings, scales, name, place)


def _is_scale(name: str, value: Any, metrics: Mapping[str, str]) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return name in metrics and number and 0 < value < math.inf


def _texts(value: Any, kind: type) -> bool:
    items = value.values() if isinstance(value, dict) else value
    return isinstance(value, kind) and all(isinstance(item, str) for item in items)


def _section(kind: type[_Claim], content: dict[str, Any], path: Path) -> list[_Claim]:
    """All claims of one kind, lists expanded, none twice and none about an unknown metric."""
    name = kind.__name__.lower()
    tables = content.get(name, [])
    if not isinstance(tables, list):
        raise DataError(f"{path}: {name} is a list of tables, [[{name}]]")
    claims: dict[object, _Claim] = {}
    for i, table in enumerate(tables, 1):
        where = f"{path}: {name} {i}"
        for one in _expand(table, where):
            claim = _read(kind, one, where, content.get("sources", {}))
            if claim.metric not in content["metrics"]:
                raise DataError(f"{where}: metric {claim.metric!r}; one of {', '.join(content['metrics'])}")
            cell: object = claim
            if isinstance(claim, Value):
                cell = (claim.profile, claim.setting, claim.method, claim.metric)
            if cell in claims:
                what = "/".join(cell) if isinstance(cell, tuple) else "the same ordering"
                raise DataError(f"{where}: two values for {what}")
            claims[cell] = claim
    return list(claims.values())


def _expand(table: Any, where: str) -> Iterator[dict[str, Any]]:
    """The tables that one table with lists stands for."""
    if not isinstance(table, dict):
        raise DataError(f"{where}: {table!r} is no table of keys")
    lists = {key: table[key] for key in LISTS if isinstance(table.get(key), list)}
    if not all(_texts(value, list) and value for value in lists.values()):
        raise DataError(f"{where}: {min(lists)} holds a list; expected one with names")
    if lists and "reference" in table and math.prod(map(len, lists.values())) > 1:
        raise DataError(f"{where}: key {min(lists)!r} holds a list; a reference belongs to one cell")
    if math.prod(map(len, lists.values())) > MAX_CELLS:
        raise DataError(f"{where}: its lists stand for more than {MAX_CELLS} claims")
    for names in itertools.product(*lists.values()):
        yield {**table, **dict(zip(lists, names, strict=True))}


def _read(kind: type[_Claim], table: dict[str, Any], where: str, sources: Mapping[str, str]) -> _Claim:
    """One table of the file as a claim, every key and type checked; a named source is written out."""
    known = {one.name: one for one in fields(kind)}
    if unknown := set(table) - set(known):
        raise DataError(f"{where}: unknown key {min(unknown)!r}; known: {', '.join(known)}")
    for name, one in known.items():
        if name not in table and one.default is MISSING:
            raise DataError(f"{where}: key {name!r} is missing")
    body = dict(table)
    if "reference" in body:
        body["reference"] = _reference(body["reference"], where)
    if "second" in body:
        body["second"] = _second(body["second"], f"{where}: second", sources)
    for name, value in body.items():
        expected: Any = _KINDS.get(known[name].type, Reference | Second)
        if isinstance(value, bool) or not isinstance(value, expected):
            raise DataError(f"{where}: {name} = {value!r} has the wrong type")
    if "source" in body:
        body["source"] = sources.get(body["source"], body["source"])
    _check_words(body, where)
    return kind(**body)


def _check_words(body: dict[str, Any], where: str) -> None:
    """Status, comparison and numbers are among those that mean something."""
    for name, allowed in (("status", tuple(STATUSES)), ("compare", COMPARISONS)):
        if name in body and body[name] not in allowed:
            raise DataError(f"{where}: {name} {body[name]!r}; one of {', '.join(allowed)}")
    if "status" in body and (body["status"] == "not-found") != ("reference" not in body):
        raise DataError(f"{where}: a reference belongs to every status but not-found")
    for name in ("second", "doubt"):
        if name in body and "reference" not in body:
            raise DataError(f"{where}: {name} belongs to a cell that has a reference")
    for name, least in (("tolerance_pct", 0), ("slack_pct", -100)):
        if not least <= body.get(name, 0) < math.inf:
            raise DataError(f"{where}: {name} = {body[name]!r}; expected points, {least} or more")
    if body.get("min_seeds", 2) < 2:
        raise DataError(f"{where}: min_seeds = {body['min_seeds']}; an interval needs 2 or more")


def _second(table: Any, where: str, sources: Mapping[str, str]) -> Second:
    if not isinstance(table, dict) or not {"status", "source"} <= set(table):
        raise DataError(f"{where}: {table!r}; expected {{ value, spread, n, spread_kind, status, source }}")
    rest = {name: item for name, item in table.items() if name not in ("status", "source")}
    status, source = table["status"], table["source"]
    if status not in STATUSES or status == "not-found":
        raise DataError(f"{where}: status {status!r}; one of {', '.join(STATUSES)}, but not not-found")
    if not isinstance(source, str):
        raise DataError(f"{where}: source = {source!r} has the wrong type")
    return Second(_reference(rest, where), status, sources.get(source, source))


def _reference(table: Any, where: str) -> Reference:
    known = [one.name for one in fields(Reference)]
    if not isinstance(table, dict) or "value" not in table or set(table) - set(known):
        raise DataError(f"{where}: reference {table!r}; expected {{ value, spread, n, spread_kind }}")
    for name, kind in (("value", int | float), ("spread", int | float), ("n", int)):
        number = table.get(name, 2)
        if isinstance(number, bool) or not isinstance(number, kind) or not math.isfinite(number):
            raise DataError(
                f"{where}: reference {name} = {number!r}; expected {{ value, spread, n }} as numbers"
            )
    if table.get("spread", 0) < 0 or table.get("n", 1) < 1:
        raise DataError(f"{where}: reference {table!r}; spread is 0 or more and n at least 1")
    kind_of_spread = table.get("spread_kind", "sample sd")
    if kind_of_spread not in SPREADS:
        raise DataError(f"{where}: spread_kind {kind_of_spread!r}; one of {', '.join(SPREADS)}")
    if kind_of_spread == "population sd" and table.get("n") == 1:
        raise DataError(f"{where}: reference {table!r}; one seed has no spread")
    return Reference(**table)
