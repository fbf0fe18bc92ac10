"""Verdicts on what came out: each cell against its target, each ordering against its slack.

A value is *reproduced* if the 95 % Welch interval of (our mean - reference) lies within ± tolerance and
*differs* if it lies wholly outside: a test of equivalence, so that few or noisy seeds never count as
agreement.  In between it is *consistent* if the difference itself is within the tolerance and the interval
contains 0: nothing speaks against the reference, but the interval is too wide to prove equivalence.  Else it
is *inconclusive*.  The reference's spread enters with the number of seeds its source gives; a spread over an
unknown number counts as one over three, and a reference without any spread as exact.

An ordering *holds* if the lower end of the one-sided 95 % interval of the paired per-seed difference is at
least -slack, *fails* if the upper end is below, else it is *inconclusive*.  Verdicts are cell by cell: of
many orderings at their boundary, one in twenty may be called wrongly.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clrepro.claims import UNKNOWN_N, Gap, Ordering, Reference, Value
from clrepro.metrics.stats import (
    MOST_SEEDS,
    Interval,
    decided_in_the_limit,
    difference_interval,
    seeds_of_both_to_decide,
    seeds_to_decide,
    t_interval,
)

CELL_WORDS = ("reproduced", "consistent", "inconclusive", "differs", "no reference")
OPEN_WORDS = ("consistent", "inconclusive")  # more seeds, of ours or of the reference, would decide
ORDERING_WORDS = ("holds", "inconclusive", "fails", "no runs")
VALUE_CONFIDENCE = 0.95
ORDERING_CONFIDENCE = 0.90  # two-sided, so each end is a one-sided bound at 95 %


@dataclass(frozen=True)
class Verdict:
    """`word`: one of CELL_WORDS or ORDERING_WORDS; `reason`: one sentence.

    `difference`: the interval that was judged, in points; `more_seeds`: how many more seeds would decide an
    open one from the present spread, None if that is not known or no number would; `both_seeds`: where none
    would, (seeds of ours, seeds of the reference) in all that would, None if not even MOST_SEEDS would.
    """

    word: str
    reason: str
    more_seeds: int | None = None
    difference: Interval | None = None
    n: int = 0
    both_seeds: tuple[int, int] | None = None

    @property
    def open(self) -> bool:
        """Whether more seeds could decide it."""
        return self.word in OPEN_WORDS


def judge_value(claim: Value | None, values_pct: Sequence[float]) -> Verdict:
    """Returns the verdict on one cell.  Args: values_pct — one number per seed, in percent."""
    if claim is None or claim.reference is None:
        reason = claim.source if claim else "the claims file holds no target for this cell"
        return Verdict("no reference", reason, n=len(values_pct))
    return judge_reference(claim.reference, claim.tolerance_pct, values_pct)


def judge_reference(reference: Reference, tolerance: float, values_pct: Sequence[float]) -> Verdict:
    """Returns the verdict on values against one reference.

    Args: tolerance — in points; values_pct — one number per seed, in percent.
    """
    n = len(values_pct)
    if n < 2:
        return Verdict("inconclusive", "one seed gives no interval", 2 - n, n=n)
    target, sd, seeds = reference.value, reference.sd, reference.n or UNKNOWN_N
    d = difference_interval(values_pct, target, sd, seeds, VALUE_CONFIDENCE)
    text = f"difference {d.mean:+.2f} points over {n} seeds, 95 % interval {d.low:+.2f} to {d.high:+.2f}"
    if reference.spread is not None and reference.n is None:
        text += f" (the reference's ± taken as one over {UNKNOWN_N} seeds)"
    side = d.side(-tolerance, tolerance)
    if side != "across":
        word, place = ("reproduced", "within") if side == "inside" else ("differs", "outside")
        return Verdict(word, f"{text}, {place} ±{tolerance:g}", None, d, n)
    word, where = "inconclusive", f"crosses ±{tolerance:g}"
    if abs(d.mean) <= tolerance and d.low <= 0 <= d.high:
        word, where = "consistent", f"contains 0 but reaches beyond ±{tolerance:g}"
    hint, more, both = _outlook(reference, tolerance, values_pct, d)
    return Verdict(word, f"{text}, {where}{hint}", more, d, n, both)


def _outlook(
    reference: Reference, tolerance: float, values: Sequence[float], d: Interval
) -> tuple[str, int | None, tuple[int, int] | None]:
    """What would decide an open cell: (words for its reason, our seeds to come, seeds of both in all)."""
    sd, seeds = reference.sd, reference.n or UNKNOWN_N
    target, level = reference.value, VALUE_CONFIDENCE
    more = seeds_to_decide(values, -tolerance, tolerance, reference=target, sd=sd, n=seeds, confidence=level)
    if more is not None:
        return "", more, None
    if decided_in_the_limit(d.mean, -tolerance, tolerance, sd=sd, n=seeds, confidence=level):
        return f"; so near the boundary that more than {MOST_SEEDS} seeds would be needed", None, None
    both = seeds_of_both_to_decide(
        values, -tolerance, tolerance, reference=target, sd=sd, n=seeds, confidence=level
    )
    hint = "; no number of our seeds would decide it at the reference's spread"
    if both is None:
        return hint, None, None
    ours, theirs = both
    whose = "on either side" if ours > len(values) else "of the reference"
    return f"{hint}, but {theirs} seeds {whose} would", None, both


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
