"""What ought to come out: targets with their source and status, and the verdict on what did.

`papers/<p>/claims.toml` is the only place where a target number is written.  It holds `value` (a cell of a
table), `ordering` (one method does at least as well as another) and `gap` (the lead of one method over
another is larger in one setting than in another), all in percent and each for one profile.

A value is *reproduced* if the 95 % Welch interval of (our mean - reference) lies within ± tolerance,
*differs* if it lies wholly outside, else it is *inconclusive*: a test of equivalence, so that few or noisy
seeds never count as agreement.  The reference's spread enters with the number of seeds its source gives; a
spread over an unknown number counts as one over three, and a reference without any spread as exact.

An ordering *holds* if the lower end of the one-sided 95 % interval of the paired per-seed difference is at
least -slack, *fails* if the upper end is below, else it is *inconclusive*.  Verdicts are cell by cell: of
many orderings at their boundary, one in twenty may be called wrongly.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from clrepro.errors import DataError
from clrepro.metrics.stats import (
    MOST_SEEDS,
    Interval,
    decided_in_the_limit,
    difference_interval,
    seeds_to_decide,
    t_interval,
)
from clrepro.texts import load_toml

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
VALUE_CONFIDENCE = 0.95
ORDERING_CONFIDENCE = 0.90  # two-sided, so each end is a one-sided bound at 95 %
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
class Value:
    """One cell.  `reference` is None for status not-found; then `source` says why."""

    profile: str
    setting: str
    method: str
    metric: str
    status: str
    source: str
    reference: Reference | None = None
    tolerance_pct: float = 1.5
    note: str = ""


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
class Verdict:
    """`word`: reproduced, differs, inconclusive, no reference, holds, fails or no runs; `reason`: one
    sentence.

    `difference`: the interval that was judged, in points; `more_seeds`: how many more seeds would decide an
    inconclusive one from the present spread, None if that is not known or no number would.
    """

    word: str
    reason: str
    more_seeds: int | None = None
    difference: Interval | None = None
    n: int = 0


@dataclass(frozen=True)
class Claims:
    """A paper's claims file.

    `metrics`: name to its caption, in the order of the tables; `scales`: by what a record's value is
    multiplied for them, where that is not 100, which makes percent of a share.
    """

    title: str
    metrics: Mapping[str, str]
    notes: Sequence[str] = field(default_factory=tuple)
    values: Sequence[Value] = field(default_factory=tuple)
    orderings: Sequence[Ordering | Gap] = field(default_factory=tuple)
    scales: Mapping[str, float] = field(default_factory=dict)

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
    known = {"title", "metrics", "notes", "sources", "scales", "value", "ordering", "gap"}
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
    values = _section(Value, content, path)
    orderings: list[Ordering | Gap] = [*_section(Ordering, content, path), *_section(Gap, content, path)]
    return Claims(content["title"], metrics, notes, values, orderings, scales)


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
    for name, value in body.items():
        expected: Any = _KINDS.get(known[name].type, Reference)
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
    for name, least in (("tolerance_pct", 0), ("slack_pct", -100)):
        if not least <= body.get(name, 0) < math.inf:
            raise DataError(f"{where}: {name} = {body[name]!r}; expected points, {least} or more")
    if body.get("min_seeds", 2) < 2:
        raise DataError(f"{where}: min_seeds = {body['min_seeds']}; an interval needs 2 or more")


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


def judge_value(claim: Value | None, values_pct: Sequence[float]) -> Verdict:
    """Returns the verdict on one cell.  Args: values_pct — one number per seed, in percent."""
    n = len(values_pct)
    if claim is None or claim.reference is None:
        reason = claim.source if claim else "the claims file holds no target for this cell"
        return Verdict("no reference", reason, n=n)
    if n < 2:
        return Verdict("inconclusive", "one seed gives no interval", 2 - n, n=n)
    reference, tolerance = claim.reference, claim.tolerance_pct
    target, sd, seeds = reference.value, reference.sd, reference.n or UNKNOWN_N
    d = difference_interval(values_pct, target, sd, seeds, VALUE_CONFIDENCE)
    text = f"difference {d.mean:+.2f} points over {n} seeds, 95 % interval {d.low:+.2f} to {d.high:+.2f}"
    if reference.spread is not None and reference.n is None:
        text += f" (the reference's ± taken as one over {UNKNOWN_N} seeds)"
    side = d.side(-tolerance, tolerance)
    if side != "across":
        word, place = ("reproduced", "within") if side == "inside" else ("differs", "outside")
        return Verdict(word, f"{text}, {place} ±{tolerance:g}", None, d, n)
    more = seeds_to_decide(
        values_pct, -tolerance, tolerance, reference=target, sd=sd, n=seeds, confidence=VALUE_CONFIDENCE
    )
    hint = ""
    if more is None and decided_in_the_limit(
        d.mean, -tolerance, tolerance, sd=sd, n=seeds, confidence=VALUE_CONFIDENCE
    ):
        hint = f"; so near the boundary that more than {MOST_SEEDS} seeds would be needed"
    elif more is None:
        hint = "; no number of our seeds would decide it at the reference's spread"
    return Verdict("inconclusive", f"{text}, crosses ±{tolerance:g}{hint}", more, d, n)


def judge_ordering(claim: Ordering | Gap, cells: Mapping[tuple[str, str], Mapping[int, float]]) -> Verdict:
    """Returns the verdict on an ordering.

    Args: cells — (setting, method) to {seed: value in percent}; differences are paired over the seeds that
        all sides have, nan counting as not measured.
    """
    sides = [
        {seed: sign * _goodness(value, claim.compare) for seed, value in cells.get(key, {}).items()}
        for sign, key in claim.sides()
    ]
    seeds = [
        s for s in sorted(set.intersection(*map(set, sides))) if not any(math.isnan(x[s]) for x in sides)
    ]
    n, needed = len(seeds), max(claim.min_seeds, 2)
    if not seeds:
        return Verdict("no runs", "no seed was run on all sides", needed)
    leads = [sum(side[seed] for side in sides) for seed in seeds]
    if n < 2:
        return Verdict("inconclusive", f"{n} common seed of the {needed} it asks for", needed - n, n=n)
    d = t_interval(leads, ORDERING_CONFIDENCE)
    text = f"lead {d.mean:+.2f} points over {n} seeds, one-sided 95 % bounds {d.low:+.2f} and {d.high:+.2f}"
    if n < needed:
        return Verdict("inconclusive", f"{text}; it asks for {needed} seeds", needed - n, d, n)
    side = d.side(-claim.slack_pct, math.inf)
    if side != "across":
        return Verdict(
            "holds" if side == "inside" else "fails", f"{text}, slack {claim.slack_pct:g}", None, d, n
        )
    more = seeds_to_decide(leads, -claim.slack_pct, math.inf, confidence=ORDERING_CONFIDENCE)
    return Verdict("inconclusive", f"{text}, crosses a slack of {claim.slack_pct:g}", more, d, n)


def _goodness(value: float, compare: str) -> float:
    """The value on a scale where more is better."""
    return {"higher": value, "lower": -value, "nearer-zero": -abs(value)}[compare]
