"""Records whose series no figure can be drawn from: they are left out of the report, by name.

A record's file may be whole and its series still be no matrix: written by a program with a mistake, or by
hand.  What a figure reads is checked here, once, before any is drawn.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from clrepro.records import RunRecord
from clrepro.report.training import PAIRS


def without_odd(records: Sequence[RunRecord]) -> tuple[list[RunRecord], list[str]]:
    """The records that figures can be drawn from, in their order, and a line for each of the others."""
    reasons = {id(record): reason for record in records if (reason := odd_series(record))}
    sizes: dict[tuple[str, ...], Counter[int]] = {}
    for record in records:
        if id(record) not in reasons and "R" in record.series:
            sizes.setdefault(_row(record), Counter())[len(record.series["R"])] += 1
    for record in records:
        if id(record) not in reasons and "R" in record.series:
            usual = sizes[_row(record)].most_common(1)[0][0]  # of equally many the first
            if len(record.series["R"]) != usual:
                reasons[id(record)] = (
                    f"series R has {len(record.series['R'])} tasks, its row's others {usual}"
                )
    lines = [
        f"{record.paper}/{record.profile}/{record.key}: {reasons[id(record)]}"
        for record in records
        if id(record) in reasons
    ]
    return [record for record in records if id(record) not in reasons], lines


def odd_series(record: RunRecord) -> str:
    """Why no figure can be drawn from the record's series; "" if nothing is wrong with them."""
    series = record.series
    if "order" in series and len(shape := _shape(series["order"]) or ()) != 1:
        return f"series order is {_words(shape)}, expected (T,)"
    if "R" in series:
        shape = _shape(series["R"]) or ()
        if len(shape) != 2 or shape[0] != shape[1] or not shape[0]:
            return f"series R is {_words(shape)}, expected (T, T), one row and column per task"
        if "order" in series and sorted(series["order"]) != list(range(shape[0])):
            return f"series order names not each of the {shape[0]} tasks of R once"
    if "overall" in series and (len(shape := _shape(series["overall"]) or ()) != 1 or not shape[0]):
        return f"series overall is {_words(shape)}, expected (E,), a number per epoch"
    for names in PAIRS.values():
        if set(names) <= set(series) and not _are_curves(*(series[name] for name in names)):
            return f"series {names[0]} and {names[1]} are no lists of equally many numbers per task"
    return ""


def _row(record: RunRecord) -> tuple[str, ...]:
    return (record.paper, record.profile, record.setting, record.method)


def _shape(values: Any) -> tuple[int, ...] | None:
    """The shape of nested lists of numbers, None if they are ragged."""
    try:
        return np.asarray(values, np.float64).shape
    except (ValueError, TypeError):
        return None


def _words(shape: tuple[int, ...]) -> str:
    return f"of shape {shape}" if shape else "ragged"


def _are_curves(steps: Any, values: Any) -> bool:
    """Whether both are lists with a list of numbers per task, as long in the one as in the other."""
    if len(steps) != len(values):
        return False
    return all(
        isinstance(x, list) and isinstance(y, list) and len(x) == len(y) and len(_shape(x + y) or ()) == 1
        for x, y in zip(steps, values, strict=True)
    )
