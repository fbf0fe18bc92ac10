"""Who is better than whom: paired by seed, tested exactly, told in one line of words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clrepro.metrics.sign_flip import holm, least_pairs, more_pairs_to_decide, sign_flip_p
from clrepro.metrics.stats import Interval, paired_interval, prob_improvement

ALPHA = 0.05
Values = Mapping[int, float]  # by seed


@dataclass(frozen=True)
class Comparison:
    """A method beside another, paired by seed: n pairs, mean difference with its 95 % interval (method -
    other), p of the sign-flip test and after Holm, P(improvement); verdict — "better", "worse" or "open".
    """

    other: str
    n: int
    difference: Interval
    p: float
    p_holm: float
    p_better: float
    verdict: str


def compare(own: Values, others: Mapping[str, Values]) -> list[Comparison]:
    """Returns a method's values beside those of each other method, over the seeds that both have.

    A method without a common seed is left out: nothing is imputed.
    """
    seeds = {name: sorted(set(own) & set(values)) for name, values in others.items()}
    names = [name for name in others if seeds[name]]
    pairs = {name: _pairs(own, others[name], seeds[name]) for name in names}
    p_values = [sign_flip_p(np.subtract(*pairs[name])) for name in names]
    made = []
    for name, p, adjusted in zip(names, p_values, holm(p_values), strict=True):
        mine, theirs = pairs[name]
        difference = paired_interval(mine, theirs)
        side = "better" if difference.mean > 0 else "worse"
        made.append(Comparison(
            name, len(mine), difference, p, float(adjusted), prob_improvement(mine, theirs),
            side if adjusted <= ALPHA else "open",
        ))  # fmt: skip
    return made


def sentence(name: str, own: Values, others: Mapping[str, Values]) -> str:
    """Returns the verdict in words: better than, no difference found, worse than; what would decide."""
    found = compare(own, others)
    if not found:
        return f"{name}: no finished run to compare"
    count = {word: sum(one.verdict == word for one in found) for word in ("better", "open", "worse")}
    n = sorted({one.n for one in found})
    seeds = f"n = {n[0]}" if len(n) == 1 else f"n = {n[0]} to {n[-1]}"
    said = (
        f"{name}: better than {count['better']}, no difference found to {count['open']}, worse than "
        f"{count['worse']} of {len(found)}; Holm, {seeds}"
    )
    return said + _what_would_decide(own, others, found, count["open"])


def _what_would_decide(
    own: Values, others: Mapping[str, Values], found: Sequence[Comparison], n_open: int
) -> str:
    if not n_open:
        return ""
    the_open = f"the {n_open}" if n_open > 1 else "that one"
    needed = least_pairs(len(found))
    fewest = min(one.n for one in found)
    if fewest < needed:
        limit = f"; with fewer than {needed} seeds the exact test of {len(found)} can find no difference"
    else:
        limit = ""
    rows = [
        np.subtract(*_pairs(own, others[one.other], sorted(set(own) & set(others[one.other]))))
        for one in found
    ]
    more = more_pairs_to_decide(rows, ALPHA)
    if more is None:
        return f"{limit}; no number of seeds up to 1,000 would decide {the_open} at these differences"
    return f"{limit}; {more} more seed{'s' if more != 1 else ''} would decide {the_open}"


def _pairs(own: Values, other: Values, seeds: Sequence[int]) -> tuple[list[float], list[float]]:
    return [own[seed] for seed in seeds], [other[seed] for seed in seeds]
