"""All methods over several streams: ranks, interquartile means, probability of improvement, coverage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from clrepro.metrics.stats import Interval, bootstrap_interval, prob_improvement
from clrepro.seeding import Seeds

Values = Mapping[int, float]  # final accuracy by seed


@dataclass(frozen=True)
class Rank:
    """A method over the streams where it has finished runs: mean rank (1 is best, ties share) over the
    streams and seeds that all ranked methods have; iqm — interquartile mean over streams and seeds with its
    bootstrap interval; p_better — mean over streams of P(it exceeds `against`); streams — with a run.
    """

    method: str
    rank: float
    iqm: Interval
    p_better: float
    streams: int


def ranking(tables: Mapping[str, Mapping[str, Values]], against: str) -> list[Rank]:
    """Returns the methods over streams, best rank first; those that lack a stream have no rank and come last.

    Args: tables — stream to method to final accuracies by seed; against — a method's name.
    """
    names = list(dict.fromkeys(name for table in tables.values() for name in table))
    whole = [name for name in names if all(table.get(name) for table in tables.values())]
    ranks = _ranks(tables, whole)
    made = []
    for name in names:
        strata = [list(table[name].values()) for table in tables.values() if table.get(name)]
        if not strata:
            continue
        rng = Seeds(0)[f"bootstrap/{name}"]
        made.append(Rank(
            name, ranks.get(name, float("nan")), bootstrap_interval(strata, rng),
            _p_better(tables, name, against), len(strata),
        ))  # fmt: skip
    return sorted(made, key=lambda one: (np.isnan(one.rank), one.rank, -one.iqm.mean))


def _ranks(tables: Mapping[str, Mapping[str, Values]], names: Sequence[str]) -> dict[str, float]:
    columns = []
    for table in tables.values():
        seeds = sorted(set.intersection(*(set(table[name]) for name in names))) if names else []
        columns += [[-table[name][seed] for name in names] for seed in seeds]
    if not columns:
        return {}
    mean = stats.rankdata(np.array(columns), axis=1).mean(axis=0)
    return dict(zip(names, mean.tolist(), strict=True))


def _p_better(tables: Mapping[str, Mapping[str, Values]], name: str, against: str) -> float:
    each = [
        prob_improvement(list(table[name].values()), list(table[against].values()))
        for table in tables.values()
        if table.get(name) and table.get(against)
    ]
    return float(np.mean(each)) if each else float("nan")
