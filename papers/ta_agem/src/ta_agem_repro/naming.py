"""The name of a result file, and what the names of old ones tell."""

import re
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from ta_agem_repro.settings import Settings

INTRODUCTIONS: Mapping[str, str] = MappingProxyType(
    {"sequential": "seq", "half and half": "half", "random": "rand", "continuous": "cont"}
)
TASKS: Mapping[str, str] = MappingProxyType({"permutation": "perm", "rotation": "rot", "class_split": "cla"})
STAMP = "%Y%m%d_%H%M%S"

# Older names lack the introduction, the rate, or rem-; a name that was taken got _1, _2, …
_NAME = re.compile(
    r"results-(?P<quick>q-)?(?:(?P<introduction>seq|half|rand|cont)-)?(?P<rem>rem-)?"
    r"(?:(?P<rate>[0-9]+(?:\.[0-9]+)?(?:e-[0-9]+)?)-)?(?P<type>perm|rot|cla)-(?P<dataset>\w+)"
    r"-[0-9]{8}_[0-9]{6}(?:_[0-9]+)?"
)
_TIME = re.compile(r"[0-9]{8}_[0-9]{6}")


def stem(settings: Settings, stamp: datetime) -> str:
    """Returns results-[q-]{seq|half|rand|cont}-[rem-]<rate>-{perm|rot|cla}-<dataset>-<YYYYmmdd_HHMMSS>.

    q- marks quick runs, rem- runs with a random draw from the memory.  Source: spec 2.5.
    """
    parts = ["results", *["q"] * settings.quick_test_mode, INTRODUCTIONS[settings.task_introduction]]
    parts += [*["rem"] * settings.random_em, f"{settings.sampling_rate:g}", TASKS[settings.task_type]]
    return "-".join([*parts, settings.dataset_name, stamp.strftime(STAMP)])


def told(name: str) -> dict[str, Any]:
    """Returns the parameters that a stem of ours or of the original tells; none for other names."""
    if (named := _NAME.fullmatch(name)) is None:
        return {}
    found: dict[str, Any] = {"task_type": _spelt(TASKS, named["type"]), "dataset_name": named["dataset"]}
    found |= {"random_em": named["rem"] is not None, "quick_test_mode": named["quick"] is not None}
    if named["rate"]:
        found["sampling_rate"] = float(named["rate"])
    if named["introduction"]:
        found["task_introduction"] = _spelt(INTRODUCTIONS, named["introduction"])
    return found


def time_told(name: str) -> datetime | None:
    """Returns the local time in a stem, or None."""
    for text in _TIME.findall(name):
        try:
            return datetime.strptime(text, STAMP)
        except ValueError:  # eight and six digits that are no date
            continue
    return None


def _spelt(table: Mapping[str, str], short: str) -> str:
    return next(name for name, code in table.items() if code == short)
