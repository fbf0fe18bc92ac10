"""Fresh records against a stored baseline of the same seeds: has a change of the code changed the results?

Equal metrics pass.  Those that differ are judged by statistics over seeds, not by a threshold on the metric:
one paired t test per row and metric, and one signed-rank test per metric over all rows together (a shift too
small for any row shows there), all at a false discovery rate of 5 %.  A change for the better counts as well.
"""

import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.errors import DataError
from clrepro.io.atomic import write_atomically
from clrepro.io.regular_files import read_regular_text
from clrepro.records import (
    MAX_BYTES,
    SEAL,
    RunRecord,
    canonical_json,
    check_seal,
    checksum,
    parse_json_object,
)

FALSE_DISCOVERY_RATE = 0.05
BAD = ("changed", "missing")
ALL_ROWS = "all rows"

# A baseline: (setting, method) -> seed -> metric -> value.
Table = dict[tuple[str, str], dict[int, dict[str, float]]]


@dataclass(frozen=True)
class Verdict:
    """What became of one metric of one row: `status` is equal, compatible, changed, missing or new."""

    setting: str
    method: str
    metric: str
    status: str
    reason: str

    @property
    def bad(self) -> bool:
        """Whether this is a regression."""
        return self.status in BAD

    def __str__(self) -> str:
        row = "/".join(part for part in (self.setting, self.method) if part)
        return f"{self.status:10} {row} {self.metric}: {self.reason}".rstrip()


def compare(
    baseline: Table, fresh: Table, failures: dict[tuple[str, str, int], str] | None = None
) -> list[Verdict]:
    """One verdict per row and metric of `baseline`, one per row only in `fresh`, tests over all rows.

    Args: failures — (setting, method, seed) -> why that run has no result, for the reason given.
    """
    verdicts: list[Verdict] = []
    differences: dict[tuple[str, str, str], _Pairs] = {}
    for (setting, method), by_seed in sorted(baseline.items()):
        now = fresh.get((setting, method), {})
        if absent := sorted(set(by_seed) - set(now)):
            why = (failures or {}).get((setting, method, absent[0]), "run the quick profile first")
            verdicts.append(
                Verdict(setting, method, "", "missing", f"no result for seed {absent[0]} ({why})")
            )
            continue
        for metric in sorted(set().union(*by_seed.values())):
            old = np.array([by_seed[seed].get(metric, math.nan) for seed in sorted(by_seed)])
            new = np.array([now[seed].get(metric, math.nan) for seed in sorted(by_seed)])
            if np.allclose(
                old, new, rtol=1e-9, atol=1e-12, equal_nan=True
            ):  # rounding of the sum, not a tolerance
                verdicts.append(Verdict(setting, method, metric, "equal", f"on {len(old)} seeds"))
            elif not np.array_equal(np.isnan(old), np.isnan(new)):
                reason = "measured in one of baseline and fresh run only"
                verdicts.append(Verdict(setting, method, metric, "changed", reason))
            else:
                measured = ~np.isnan(old)
                differences[setting, method, metric] = _Pairs(old[measured], new[measured])
    verdicts += _judge(differences)
    for setting, method in sorted(set(fresh) - set(baseline)):
        verdicts.append(
            Verdict(setting, method, "", "new", "not in the baseline; `cl-repro check --update` adds it")
        )
    return verdicts


def table_of(records: list[RunRecord]) -> Table:
    """The metrics of the records that are done, by row and seed."""
    table: Table = defaultdict(dict)
    for record in records:
        if record.status == "done":
            table[record.setting, record.method][record.seed] = dict(record.metrics)
    return dict(table)


def baseline_path(home: Path, paper: str) -> Path:
    """Where the checkout `home` keeps the baseline of `paper`."""
    return home / "ci" / "baselines" / f"{paper}.json"


def write_baseline(path: Path, paper: str, profile: str, records: list[RunRecord]) -> None:
    """Replace the baseline by the metrics of `records`, one run per line, and where they were made.

    Raises: DataError if it cannot be written.
    """
    done = sorted((r for r in records if r.status == "done"), key=lambda r: (r.setting, r.method, r.seed))
    runs, lines = [], []
    for record in done:
        metrics = {name: value if math.isfinite(value) else None for name, value in record.metrics.items()}
        run = {"setting": record.setting, "method": record.method, "seed": record.seed, "metrics": metrics}
        runs.append(run)
        lines.append("  " + canonical_json(run))
    origins = [dict(pairs) for pairs in sorted({tuple(sorted(r.origin.items())) for r in done if r.origin})]
    head = {"paper": paper, "profile": profile, "schema": 1, "origins": origins}
    sealed = {**head, SEAL: checksum({**head, "runs": runs})}
    top = "".join(f"{canonical_json(name)}: {canonical_json(value)},\n" for name, value in sealed.items())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, ("{\n" + top + '"runs": [\n' + ",\n".join(lines) + "\n]\n}\n").encode())


def read_baseline(path: Path, paper: str) -> tuple[Table, list[dict[str, str]]]:
    """The baseline in `path` and the origins of its records (none in one of an older version).

    Raises: DataError naming the file and what is wrong with it.
    """
    missing = f"no baseline of {paper!r}; make one with: cl-repro check {paper} --update"
    body = parse_json_object(read_regular_text(path, MAX_BYTES, missing), str(path))
    if body.get("paper") != paper or body.get("schema") != 1 or not isinstance(body.get("runs"), list):
        raise DataError(f"{path}: not a baseline of {paper!r} (fields paper, schema = 1 and runs)")
    origins = body.get("origins", [])
    if not isinstance(origins, list) or not all(_is_origin(origin) for origin in origins):
        raise DataError(f"{path}: field 'origins' is no list of objects with texts")
    table: Table = defaultdict(dict)
    for i, run in enumerate(body["runs"], 1):
        row, seed, metrics = _run(run, f"{path}: run {i}")
        if seed in table[row]:
            raise DataError(f"{path}: run {i} repeats seed {seed} of {'/'.join(row)}")
        table[row][seed] = metrics
    check_seal({name: value for name, value in body.items() if name != SEAL}, body.get(SEAL), str(path))
    return dict(table), origins


def _is_origin(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _run(run: Any, where: str) -> tuple[tuple[str, str], int, dict[str, float]]:
    if not isinstance(run, dict) or set(run) != {"setting", "method", "seed", "metrics"}:
        raise DataError(f"{where}: expected the fields setting, method, seed and metrics")
    names, seed, metrics = (run["setting"], run["method"]), run["seed"], run["metrics"]
    if (
        not all(isinstance(name, str) for name in names)
        or type(seed) is not int
        or not isinstance(metrics, dict)
    ):
        raise DataError(f"{where}: setting and method are text, seed an integer, metrics an object")
    for name, value in metrics.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and math.isfinite(value)):
            raise DataError(f"{where}: metric {name!r} is {value!r}, expected a finite number or null")
    return names, seed, {name: math.nan if value is None else float(value) for name, value in metrics.items()}


@dataclass(frozen=True)
class _Pairs:
    """One metric of one row, float64 (n_seeds,) each, seed by seed."""

    old: NDArray[np.float64]
    new: NDArray[np.float64]

    @property
    def delta(self) -> NDArray[np.float64]:
        return self.new - self.old

    def scaled(self) -> NDArray[np.float64]:
        """The differences in units of the row's spread over seeds, so that rows can be judged together."""
        spread = np.std(self.old, ddof=1) if len(self.old) > 1 else 0.0
        return self.delta / (spread if spread > 0 else np.max(np.abs(self.delta)))


def _judge(differences: dict[tuple[str, str, str], _Pairs]) -> list[Verdict]:
    """The verdicts on metrics that are not equal, the tests over all rows included."""
    from scipy.stats import false_discovery_control

    tests: list[tuple[tuple[str, str, str], float, str]] = []
    verdicts: list[Verdict] = []
    for key, pairs in differences.items():
        p, text = _row_test(pairs)
        if math.isnan(p):
            verdicts.append(Verdict(*key, "compatible", text))
        else:
            tests.append((key, p, text))
    for metric in sorted({key[2] for key in differences}):
        rows = [pairs for key, pairs in differences.items() if key[2] == metric]
        if len(rows) > 1:
            tests.append(((ALL_ROWS, "", metric), *_pooled_test(rows)))
    if tests:
        adjusted = false_discovery_control([p for _, p, _ in tests])
        for (key, _, text), p in zip(tests, adjusted, strict=True):
            status = "changed" if p < FALSE_DISCOVERY_RATE else "compatible"
            verdicts.append(Verdict(*key, status, f"{text}, p = {p:.2g} corrected"))
    return verdicts


def _row_test(pairs: _Pairs) -> tuple[float, str]:
    """p value (nan if one seed cannot tell) and description of the paired t test over seeds."""
    from scipy.stats import ttest_1samp

    delta, n = pairs.delta, len(pairs.delta)
    text = f"{pairs.old.mean():.4f} -> {pairs.new.mean():.4f} over {n} seeds"
    if n < 2:
        return math.nan, f"{text}; one seed cannot tell a change from chance"
    if np.ptp(delta) < 1e-12:
        return 0.0, f"{text}, the same shift in every seed"
    found = ttest_1samp(delta, 0.0)
    low, high = found.confidence_interval(0.95)
    return float(found.pvalue), f"{text}, mean difference in [{low:+.4f}, {high:+.4f}]"


def _pooled_test(rows: list[_Pairs]) -> tuple[float, str]:
    """p value and description of the signed-rank test over the pairs of all rows."""
    from scipy.stats import wilcoxon

    scaled = np.concatenate([pairs.scaled() for pairs in rows])
    scaled = scaled[scaled != 0]
    higher = int(np.sum(scaled > 0))
    text = f"higher in {higher}, lower in {len(scaled) - higher} of {len(scaled)} pairs"
    return float(wilcoxon(scaled).pvalue), text
