"""Results tables: what was measured, beside what ought to come out, with n, interval and verdict in every
cell.
"""

import csv
import io
import math
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import compress

import numpy as np

from clrepro.claims import Claims, Gap, Ordering, Reference, Value
from clrepro.io.terminal_text import visible
from clrepro.metrics.stats import Interval, mean_sd, t_interval
from clrepro.records import RunRecord
from clrepro.verdicts import ORDERING_WORDS, Verdict, judge_ordering, judge_reference, judge_value

MARKS = {"recalled": "ʳ", "second-hand": "²", "measured": "ᵐ", "derived": "ᵈ", "logs": "ˡ", "found": ""}
DOUBT = "?"
CSV_COLUMNS = (
    *("paper", "profile", "setting", "method", "metric", "n", "mean_pct", "sd_pct", "low_pct", "high_pct"),
    *("reference_pct", "status", "verdict", "reason", "minutes_per_run"),
    *("reference_spread_pct", "reference_n", "tolerance_pct", "more_seeds", "peak_mb"),
    *("ours_to_decide", "reference_to_decide", "doubt"),
    *("second_pct", "second_spread_pct", "second_n", "second_status", "second_verdict", "second_reason"),
)
LEGEND = (
    "Ours: mean ± sample sd over n seeds, 95 % Student interval in brackets; what the marks and verdicts "
    "mean: docs/verdicts.md."
)


@dataclass(frozen=True)
class Cell:
    """One metric of one row, in percent; `values` in order of the seeds."""

    metric: str
    values: tuple[float, ...]
    sd: float
    interval: Interval
    claim: Value | None
    verdict: Verdict
    second: Verdict | None = None

    @property
    def ours(self) -> str:
        """ "71.23 ± 0.41", or a dash where nothing was measured."""
        if not self.values or math.isnan(self.interval.mean):
            return "–"
        spread = "" if math.isnan(self.sd) else f" ± {self.sd:.2f}"
        return minus(f"{self.interval.mean:.2f}{spread}")

    @property
    def bounds(self) -> str:
        """ "[70.70, 71.70]", or nothing for a single seed."""
        if math.isnan(self.interval.low):
            return ""
        return minus(f"[{self.interval.low:.2f}, {self.interval.high:.2f}]")

    @property
    def target(self) -> str:
        """The reference with its spread, without the mark of its status, or a dash."""
        if self.claim is None or self.claim.reference is None:
            return "–"
        return _target(self.claim.reference)

    @property
    def mark(self) -> str:
        """The mark of the reference's status, and of a doubt; nothing where there is no reference."""
        if self.claim is None or self.claim.reference is None:
            return ""
        return MARKS[self.claim.status] + (DOUBT if self.claim.doubt else "")

    @property
    def second_target(self) -> str:
        """The second reference with its spread, without the mark of its status; nothing without one."""
        return _target(self.claim.second.reference) if self.claim and self.claim.second else ""

    @property
    def reference(self) -> str:
        """The target with its spread and the mark of its status, then the second one; or a dash."""
        if self.claim is None or self.claim.second is None:
            return self.target + self.mark
        second = self.claim.second
        n = f" (n {second.reference.n})" if second.reference.n else ""
        return f"{self.target}{self.mark}; {self.second_target}{MARKS[second.status]}{n}"

    @property
    def judgement(self) -> str:
        """The verdict, then that on the second reference; "inconclusive (+4)" where four more seeds would
        decide; a dash for none.
        """
        if self.verdict.word in ("no reference", "no runs"):
            return "–"
        return "; ".join(_judgement(one) for one in (self.verdict, self.second) if one is not None)


def _target(reference: Reference) -> str:
    spread = "" if reference.spread is None else f" ± {reference.spread:.2f}"
    return minus(f"{reference.value:.2f}{spread}")


def _judgement(verdict: Verdict) -> str:
    if verdict.more_seeds:
        return f"{verdict.word} (+{verdict.more_seeds})"
    if verdict.both_seeds is None:
        return verdict.word
    ours, theirs = verdict.both_seeds
    return f"{verdict.word} ({'both' if ours > verdict.n else 'ref.'} {theirs})"


@dataclass(frozen=True)
class Row:
    """One method in one setting: its cells, its cost and the command of its first run.

    minutes: wall minutes per run; peak_mb: the largest resident set of a run, nan if not recorded.
    """

    setting: str
    method: str
    n: int
    cells: tuple[Cell, ...]
    minutes: float
    command: str
    seeds: tuple[int, ...] = ()
    peak_mb: float = math.nan

    @property
    def more_seeds(self) -> int | None:
        """How many more seeds would decide every cell that more seeds can decide; None if there is none."""
        return max((cell.verdict.more_seeds or 0 for cell in self.cells), default=0) or None


@dataclass(frozen=True)
class JudgedOrdering:
    """A claim about two or more rows, and what came out."""

    claim: Ordering | Gap
    verdict: Verdict

    @property
    def text(self) -> str:
        """The claim in words."""
        return self.claim.text


@dataclass(frozen=True)
class Table:
    """All rows of a paper's profile, with its orderings and the targets that no run was made for."""

    paper: str
    profile: str
    title: str
    metrics: dict[str, str]
    notes: tuple[str, ...]
    rows: tuple[Row, ...]
    orderings: tuple[JudgedOrdering, ...]
    records: tuple[RunRecord, ...] = field(repr=False, default=())
    absent: tuple[Value, ...] = ()

    def counts(self) -> dict[str, int]:
        """Verdict word to how many cells have it."""
        return dict(sorted(Counter(cell.verdict.word for row in self.rows for cell in row.cells).items()))

    def ordering_counts(self) -> dict[str, dict[str, int]]:
        """Claim to verdict word to how many orderings have it."""
        out: dict[str, dict[str, int]] = {}
        for one in self.orderings:
            words = out.setdefault(one.claim.claim, {})
            words[one.verdict.word] = words.get(one.verdict.word, 0) + 1
        return out

    def has_reference(self, metric: str) -> bool:
        """Whether any cell of this metric has a target; without one its columns say nothing."""
        cells = [cell for row in self.rows for cell in row.cells if cell.metric == metric]
        return any(cell.claim is not None and cell.claim.reference is not None for cell in cells)

    @property
    def hours(self) -> float:
        """Wall hours of all runs together."""
        return (
            sum(record.cost.get("wall_s", 0.0) for record in self.records if record.status == "done") / 3600
        )

    def markdown(self) -> str:
        """The table as Markdown, with legend, orderings and notes."""
        n_runs = sum(row.n for row in self.rows)
        lines = [*self._lines(self.rows), ""]
        lines += [f"{n_runs} runs, {duration(self.hours)} of computing. {LEGEND}", ""]
        if self.orderings:
            lines += [
                "| claim | " + " | ".join(ORDERING_WORDS) + " |",
                "|" + "---|" * (len(ORDERING_WORDS) + 1),
            ]
            for claim, words in self.ordering_counts().items():
                counts = [str(words.get(word, 0)) for word in ORDERING_WORDS]
                lines.append(f"| {claim} | " + " | ".join(counts) + " |")
            lines.append("")
        lines += [f"- {note}" for note in self.notes]
        return "\n".join(lines).rstrip() + "\n"

    def markdown_of(self, patterns: Sequence[str]) -> str:
        """The rows whose "setting/method" matches one of the patterns (of the shell), as Markdown.

        Raises: ValueError for a pattern that matches none.
        """
        names = [f"{row.setting}/{row.method}" for row in self.rows]
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise ValueError(f"{pattern!r} matches no row of {self.paper} {self.profile}")
        chosen = [any(fnmatchcase(name, pattern) for pattern in patterns) for name in names]
        return "\n".join([*self._lines(list(compress(self.rows, chosen))), ""])

    def _lines(self, rows: Sequence[Row]) -> list[str]:
        head = ["setting", "method", "n"]
        for metric in self.metrics:
            name = _in_markdown(metric)
            head += [name, "reference", "verdict"] if self.has_reference(metric) else [name]
        lines = ["| " + " | ".join([*head, "min/run"]) + " |", "|" + "---|" * (len(head) + 1)]
        for row in rows:
            line = [row.setting, row.method, str(row.n)]
            for cell in row.cells:
                line.append(f"{cell.ours} {cell.bounds}".strip())
                line += [cell.reference, cell.judgement] if self.has_reference(cell.metric) else []
            lines.append("| " + " | ".join([*line, f"{row.minutes:.2f}"]) + " |")
        return lines

    def csv(self) -> str:
        """One line per cell, numbers unrounded."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)
        for row in self.rows:
            for cell in row.cells:
                writer.writerow(_csv_line(self.paper, self.profile, row, cell))
        return out.getvalue()


def _in_markdown(name: str) -> str:
    """A name from a record as it stands in a Markdown table: it opens no cell, tag, link or code, and steers
    no terminal.
    """
    return re.sub(r"([\\`*|<>\[\]&])", r"\\\1", visible(name))


def _in_csv(name: str) -> str:
    """A name from a record as it stands in a CSV file: one line, and no formula for a spreadsheet."""
    shown = visible(name)
    return f"'{shown}" if shown[:1] in ("=", "+", "-", "@") else shown


def _csv_line(paper: str, profile: str, row: Row, cell: Cell) -> list[object]:
    claim, verdict = cell.claim, cell.verdict
    reference = claim.reference if claim else None
    return [
        *(paper, profile, row.setting, row.method, _in_csv(cell.metric), len(cell.values)),
        *(cell.interval.mean, cell.sd, cell.interval.low, cell.interval.high),
        *(reference.value if reference else "", claim.status if claim else ""),
        *(verdict.word, verdict.reason, row.minutes),
        *((reference.spread, reference.n) if reference else ("", "")),
        *(claim.tolerance_pct if claim and reference else "", verdict.more_seeds, row.peak_mb),
        *(verdict.both_seeds or ("", "")),
        claim.doubt if claim else "",
        *_csv_second(cell),
    ]


def _csv_second(cell: Cell) -> tuple[object, ...]:
    if cell.claim is None or cell.claim.second is None:
        return ("",) * 6
    second, r = cell.claim.second, cell.claim.second.reference
    verdict = cell.second or cell.verdict  # without a value both are "no runs"
    return r.value, r.spread, r.n, second.status, verdict.word, verdict.reason


def results_table(paper: str, profile: str, records: Sequence[RunRecord], claims: Claims) -> Table:
    """Returns the table of a profile's records.

    Args: records — runs in any order; those that are done count.  Rows are grouped by setting, and settings
        that share the part before the "/" stand together; else the order is that of first appearance.
    """
    groups: dict[tuple[str, str], list[RunRecord]] = {}
    for record in records:
        if record.status == "done":
            groups.setdefault((record.setting, record.method), []).append(record)
    metrics = _told(profile, groups, claims)
    rows: list[Row] = []
    by_metric: dict[str, dict[tuple[str, str], dict[int, float]]] = {metric: {} for metric in claims.metrics}
    for setting, method in _grouped(list(groups)):
        runs = sorted(groups[setting, method], key=lambda run: run.seed)
        cells = []
        for metric in claims.metrics:
            scale = claims.scale(metric)
            values = {run.seed: scale * run.metrics[metric] for run in runs if metric in run.metrics}
            by_metric[metric][setting, method] = values
            if metric in metrics:
                cells.append(_cell(metric, values, claims.value(profile, setting, method, metric)))
        rows.append(_row(runs, tuple(cells)))
    orderings = [
        JudgedOrdering(one, judge_ordering(one, by_metric[one.metric]))
        for one in sorted(claims.orderings, key=lambda one: one.claim.partition(" ")[0])
        if one.profile == profile
    ]
    absent = tuple(
        one
        for one in claims.values
        if one.profile == profile and one.reference is not None and (one.setting, one.method) not in groups
    )
    return Table(
        *(
            paper,
            profile,
            claims.title,
            metrics,
            tuple(claims.notes),
            tuple(rows),
            tuple(orderings),
        ),
        *(tuple(records), absent),
    )


def _told(profile: str, groups: dict[tuple[str, str], list[RunRecord]], claims: Claims) -> dict[str, str]:
    """The metrics that some run has measured or some row has a target for; all if there is neither."""
    out = {}
    for metric, caption in claims.metrics.items():
        measured = any(metric in run.metrics for runs in groups.values() for run in runs)
        targets = (claims.value(profile, *key, metric) for key in groups)
        if measured or any(target is not None and target.reference is not None for target in targets):
            out[metric] = caption
    return out or dict(claims.metrics)


def _grouped(keys: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """(setting, method) pairs with settings of one family together, families and settings as they came."""
    settings = list(dict.fromkeys(setting for setting, _ in keys))
    families = list(dict.fromkeys(family(setting) for setting in settings))
    return sorted(keys, key=lambda key: (families.index(family(key[0])), settings.index(key[0])))


def _row(runs: list[RunRecord], cells: tuple[Cell, ...]) -> Row:
    first = runs[0]
    words = [word.replace("{data}", "data").replace("{artefacts}", "results") for word in first.command]
    minutes = sum(run.cost.get("wall_s", math.nan) for run in runs) / len(runs) / 60
    peak = max(run.cost.get("peak_rss_mb", math.nan) for run in runs)
    seeds = tuple(run.seed for run in runs)
    return Row(first.setting, first.method, len(runs), cells, minutes, shlex.join(words), seeds, peak)


def _cell(metric: str, by_seed: dict[int, float], claim: Value | None) -> Cell:
    values = tuple(value for _, value in sorted(by_seed.items()) if not math.isnan(value))
    if not values:
        nothing = Interval(math.nan, math.nan, math.nan)
        return Cell(metric, (), math.nan, nothing, claim, Verdict("no runs", "not measured"))
    second = None
    with np.errstate(all="ignore"):  # an infinity is shown as one, and its spread as nan
        if claim is not None and claim.second is not None:
            second = judge_reference(claim.second.reference, claim.tolerance_pct, values)
        verdict = judge_value(claim, values)
        return Cell(metric, values, mean_sd(values)[1], t_interval(values), claim, verdict, second)


def family(setting: str) -> str:
    """Returns the part of a setting's name before the first "/": "rotations" of "rotations/500"."""
    return setting.partition("/")[0]


def duration(hours: float) -> str:
    """Returns hours in words, as minutes if there are fewer than two, e.g. "95 min", "2.4 h"."""
    return f"{hours:.1f} h" if hours >= 2 else f"{60 * hours:.0f} min"


def minus(text: str) -> str:
    """Returns the text with typographic minus signs."""
    return text.replace("-", "−")
