"""What ought to come out: targets with their source and status, and the verdict on what did.

`papers/<p>/claims.toml` is the only place where a target number is written.  It holds [[value]] (a table
cell of the paper), [[ordering]] (one method is at least as good as another) and [[gap]] (the lead of one
method over another is larger in one setting than in another), all in percent.

A value is *reproduced* if the 95 % Welch interval of (our mean - reference) lies within ± tolerance,
*differs* if it lies outside, else *inconclusive*.  An ordering *holds* if the lower end of the one-sided 95
% interval of the paired per-seed difference lies above -slack, *fails* if the upper end lies below, else it
is inconclusive.
"""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from scipy import stats

from clrepro.errors import DataError
from clrepro.metrics.stats import difference_interval, mean_sd, seeds_to_decide

STATUSES = ("found", "derived", "measured", "logs", "recalled", "second-hand", "not-found")
# A source that gives ± without saying over how many seeds: the fewest that a ± usually stands for.
UNKNOWN_N = 3
_KINDS: dict[Any, Any] = {str: str, int: int, float: int | float}
_Claim = TypeVar("_Claim", "Value", "Ordering", "Gap")


@dataclass(frozen=True)
class Reference:
    """A target in percent: value ± spread over n seeds; spread and n as far as the source gives them."""

    value: float
    spread: float | None = None
    n: int | None = None


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
    """mean(better) >= mean(worse) - slack in one setting; `worse_setting` where the other runs elsewhere."""

    profile: str
    claim: str
    setting: str
    metric: str
    better: str
    worse: str
    slack_pct: float
    min_seeds: int = 3
    worse_setting: str = ""


@dataclass(frozen=True)
class Gap:
    """(better - worse) in setting `larger` >= (better - worse) in setting `smaller` - slack."""

    profile: str
    claim: str
    metric: str
    better: str
    worse: str
    larger: str
    smaller: str
    slack_pct: float
    min_seeds: int = 3


@dataclass(frozen=True)
class Verdict:
    """`word`: reproduced, differs, inconclusive, no reference, holds, fails or no runs; `reason`: one
    sentence.
    """

    word: str
    reason: str
    seeds_needed: int | None = None


@dataclass(frozen=True)
class Claims:
    """A paper's claims file.  `metrics`: name to its caption, in the order of the tables."""

    title: str
    metrics: Mapping[str, str]
    notes: Sequence[str] = field(default_factory=tuple)
    values: Sequence[Value] = field(default_factory=tuple)
    orderings: Sequence[Ordering | Gap] = field(default_factory=tuple)

    def value(self, profile: str, setting: str, method: str, metric: str) -> Value | None:
        """Returns the claim about one cell, if there is one."""
        wanted = (profile, setting, method, metric)
        for one in self.values:
            if (one.profile, one.setting, one.method, one.metric) == wanted:
                return one
        return None


def load_claims(path: Path) -> Claims:
    """Returns the claims in a file.  Raises: DataError naming the file and the key that is wrong."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path}: not a readable claims file ({error})") from None
    known = {"title", "metrics", "notes", "value", "ordering", "gap"}
    if unknown := set(content) - known:
        raise DataError(f"{path}: unknown key {min(unknown)!r}; known: {', '.join(sorted(known))}")
    metrics = content.get("metrics")
    if not isinstance(content.get("title"), str) or not isinstance(metrics, dict) or not metrics:
        raise DataError(f"{path}: needs a title and a [metrics] table of names and captions")
    values = [_read(Value, one, f"{path}: value {i}") for i, one in enumerate(content.get("value", []), 1)]
    orderings: list[Ordering | Gap] = [
        _read(Ordering, one, f"{path}: ordering {i}") for i, one in enumerate(content.get("ordering", []), 1)
    ]
    orderings += [_read(Gap, one, f"{path}: gap {i}") for i, one in enumerate(content.get("gap", []), 1)]
    cells = [(v.profile, v.setting, v.method, v.metric) for v in values]
    for cell in cells:
        if cells.count(cell) > 1:
            raise DataError(f"{path}: two values for {'/'.join(cell)}")
    return Claims(content["title"], metrics, content.get("notes", []), values, orderings)


def _read(kind: type[_Claim], table: Any, where: str) -> _Claim:
    """One table of the file as a claim, every key and type checked."""
    known = {one.name: one for one in fields(kind)}
    if not isinstance(table, dict) or (set(table) - set(known)):
        raise DataError(f"{where}: unknown key {min(set(table) - set(known))!r}; known: {', '.join(known)}")
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
    if "status" in body and body["status"] not in STATUSES:
        raise DataError(f"{where}: status {body['status']!r}; one of {', '.join(STATUSES)}")
    if "status" in body and (body["status"] == "not-found") != ("reference" not in body):
        raise DataError(f"{where}: a reference belongs to every status but not-found")
    return kind(**body)


def _reference(table: Any, where: str) -> Reference:
    good = isinstance(table, dict) and "value" in table and set(table) <= {"value", "spread", "n"}
    if not good or any(isinstance(v, bool) or not isinstance(v, int | float) for v in table.values()):
        raise DataError(f"{where}: reference {table!r}; expected {{ value, spread, n }} with numbers")
    return Reference(**table)


def judge_value(claim: Value | None, values_pct: Sequence[float]) -> Verdict:
    """Returns the verdict on one cell.  Args: values_pct — one number per seed, in percent."""
    if claim is None or claim.reference is None:
        return Verdict(
            "no reference", claim.source if claim else "the claims file holds no target for this cell"
        )
    reference = claim.reference
    if len(values_pct) < 2:
        return Verdict("inconclusive", "one seed gives no interval", 2)
    spread, n = reference.spread or 0.0, reference.n or UNKNOWN_N
    d = difference_interval(values_pct, reference.value, spread, n)
    tolerance = claim.tolerance_pct
    text = f"difference {d.mean:+.2f} points, 95 % interval {d.low:+.2f} to {d.high:+.2f}"
    if -tolerance <= d.low and d.high <= tolerance:
        return Verdict("reproduced", f"{text}, within ±{tolerance:g}")
    if d.low > tolerance or d.high < -tolerance:
        return Verdict("differs", f"{text}, outside ±{tolerance:g}")
    _, sd = mean_sd(values_pct)
    own = abs(abs(d.mean) - tolerance) - 1.96 * spread / math.sqrt(n)
    return Verdict("inconclusive", f"{text}, crosses ±{tolerance:g}", seeds_to_decide(sd, own))


def judge_ordering(claim: Ordering | Gap, cells: Mapping[tuple[str, str], Mapping[int, float]]) -> Verdict:
    """Returns the verdict on an ordering.

    Args: cells — (setting, method) to {seed: value in percent}; differences are paired over the seeds all
    sides have.
    """
    if isinstance(claim, Ordering):
        keys = [(claim.setting, claim.better), (claim.worse_setting or claim.setting, claim.worse)]
        signs = [1, -1]
    else:
        keys = [(s, m) for s in (claim.larger, claim.smaller) for m in (claim.better, claim.worse)]
        signs = [1, -1, -1, 1]
    sides = [cells.get(key, {}) for key in keys]
    seeds = sorted(set.intersection(*(set(side) for side in sides)))
    if len(seeds) < max(claim.min_seeds, 2):
        return Verdict(
            "no runs" if not seeds else "inconclusive", f"{len(seeds)} common seeds of {claim.min_seeds}"
        )
    differences = [sum(s * side[seed] for s, side in zip(signs, sides, strict=True)) for seed in seeds]
    mean, sd = mean_sd(differences)
    half = float(stats.t.ppf(0.95, len(seeds) - 1)) * sd / math.sqrt(len(seeds))
    bounds = f"one-sided 95 % bounds {mean - half:+.2f} and {mean + half:+.2f}"
    text = f"difference {mean:+.2f} points over {len(seeds)} seeds, {bounds}, slack {claim.slack_pct:g}"
    if mean - half > -claim.slack_pct:
        return Verdict("holds", text)
    if mean + half < -claim.slack_pct:
        return Verdict("fails", text)
    return Verdict("inconclusive", text, seeds_to_decide(sd, abs(mean + claim.slack_pct)))
