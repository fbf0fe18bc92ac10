"""Results tables: what was measured, beside what ought to come out, with n, interval and verdict in every
cell.
"""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from clrepro.claims import Claims, Gap, Ordering, Value, Verdict, judge_ordering, judge_value
from clrepro.metrics.stats import Interval, mean_sd, t_interval
from clrepro.records import RunRecord

MARKS = {"recalled": "ʳ", "second-hand": "²", "measured": "ᵐ", "derived": "ᵈ", "logs": "ˡ", "found": ""}
CSV_COLUMNS = (
    *("paper", "profile", "setting", "method", "metric", "n", "mean_pct", "sd_pct", "low_pct", "high_pct"),
    *("reference_pct", "status", "verdict", "reason", "minutes_per_run"),
)
LEGEND = (
    "Ours: mean ± sample sd over n seeds, 95 % Student interval in brackets. "
    "Reference marks: ʳ recalled from the literature, not checked against the PDF; ˡ from the authors' logs; "
    "ᵐ measured with the original code; ᵈ derived; ² second-hand; no mark: found in the source."
)


@dataclass(frozen=True)
class Cell:
    """One metric of one row, in percent."""

    metric: str
    values: tuple[float, ...]
    sd: float
    interval: Interval
    claim: Value | None
    verdict: Verdict

    @property
    def ours(self) -> str:
        """ "71.23 ± 0.41", or a dash where nothing was measured."""
        if not self.values or math.isnan(self.interval.mean):
            return "–"
        spread = "" if math.isnan(self.sd) else f" ± {self.sd:.2f}"
        return minus(f"{self.interval.mean:.2f}{spread}")

    @property
    def bounds(self) -> str:
        """ "[70.7, 71.7]", or nothing for a single seed."""
        if math.isnan(self.interval.low):
            return ""
        return minus(f"[{self.interval.low:.2f}, {self.interval.high:.2f}]")

    @property
    def reference(self) -> str:
        """The target with its spread and the mark of its status, or a dash."""
        if self.claim is None or self.claim.reference is None:
            return "–"
        r = self.claim.reference
        spread = "" if r.spread is None else f" ± {r.spread:.2f}"
        return minus(f"{r.value:.2f}{spread}{MARKS[self.claim.status]}")


@dataclass(frozen=True)
class Row:
    """One method in one setting: its cells, its cost per run and the command that makes one of its runs."""

    setting: str
    method: str
    n: int
    cells: tuple[Cell, ...]
    minutes: float
    command: str


@dataclass(frozen=True)
class JudgedOrdering:
    """A claim about two or more rows, and what came out."""

    claim: Ordering | Gap
    verdict: Verdict

    @property
    def text(self) -> str:
        """The claim in words."""
        c = self.claim
        if isinstance(c, Ordering):
            where = f" in {c.worse_setting}" if c.worse_setting else ""
            return f"{c.metric} of {c.better} ≥ {c.worse}{where} ({c.setting})"
        return f"{c.metric} lead of {c.better} over {c.worse}: {c.larger} ≥ {c.smaller}"


@dataclass(frozen=True)
class Table:
    """All rows of a paper's profile, with its orderings."""

    paper: str
    profile: str
    title: str
    metrics: dict[str, str]
    notes: tuple[str, ...]
    rows: tuple[Row, ...]
    orderings: tuple[JudgedOrdering, ...]
    records: tuple[RunRecord, ...] = field(repr=False, default=())

    def counts(self) -> dict[str, int]:
        """Verdict word to how many cells have it."""
        words = [cell.verdict.word for row in self.rows for cell in row.cells]
        return {word: words.count(word) for word in sorted(set(words))}

    def ordering_counts(self) -> dict[str, dict[str, int]]:
        """Claim to verdict word to how many orderings have it."""
        out: dict[str, dict[str, int]] = {}
        for one in self.orderings:
            words = out.setdefault(one.claim.claim, {})
            words[one.verdict.word] = words.get(one.verdict.word, 0) + 1
        return out

    def markdown(self) -> str:
        """The table as Markdown, with legend, orderings and notes."""
        head = ["setting", "method", "n"]
        for metric in self.metrics:
            head += [f"{metric}", "reference", "verdict"]
        lines = ["| " + " | ".join([*head, "min/run"]) + " |", "|" + "---|" * (len(head) + 1)]
        for row in self.rows:
            line = [row.setting, row.method, str(row.n)]
            for cell in row.cells:
                line += [f"{cell.ours} {cell.bounds}".strip(), cell.reference, cell.verdict.word]
            lines.append("| " + " | ".join([*line, f"{row.minutes:.2f}"]) + " |")
        lines += ["", LEGEND, ""]
        if self.orderings:
            lines += ["| claim | holds | fails | inconclusive | no runs |", "|---|---|---|---|---|"]
            for claim, words in self.ordering_counts().items():
                counts = [str(words.get(word, 0)) for word in ("holds", "fails", "inconclusive", "no runs")]
                lines.append(f"| {claim} | " + " | ".join(counts) + " |")
            lines.append("")
        lines += [f"- {note}" for note in self.notes]
        return "\n".join(lines).rstrip() + "\n"

    def csv(self) -> str:
        """One line per cell, numbers unrounded."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)
        for row in self.rows:
            for cell in row.cells:
                reference = cell.claim.reference if cell.claim else None
                numbers = [cell.interval.mean, cell.sd, cell.interval.low, cell.interval.high]
                writer.writerow(
                    [
                        *(self.paper, self.profile, row.setting, row.method, cell.metric, len(cell.values)),
                        *numbers,
                        *(reference.value if reference else "", cell.claim.status if cell.claim else ""),
                        *(cell.verdict.word, cell.verdict.reason, row.minutes),
                    ]
                )
        return out.getvalue()


def results_table(paper: str, profile: str, records: Sequence[RunRecord], claims: Claims) -> Table:
    """Returns the table of a profile's records.

    Args: records — finished runs, any order; rows come in the order of first appearance.
    """
    groups: dict[tuple[str, str], list[RunRecord]] = {}
    for record in records:
        if record.status == "done":
            groups.setdefault((record.setting, record.method), []).append(record)
    rows: list[Row] = []
    by_metric: dict[str, dict[tuple[str, str], dict[int, float]]] = {metric: {} for metric in claims.metrics}
    for (setting, method), runs in groups.items():
        cells = []
        for metric in claims.metrics:
            values = {run.seed: 100 * run.metrics[metric] for run in runs if metric in run.metrics}
            by_metric[metric][setting, method] = values
            cells.append(_cell(metric, values, claims.value(profile, setting, method, metric)))
        minutes = sum(run.cost.get("wall_s", math.nan) for run in runs) / len(runs) / 60
        rows.append(Row(setting, method, len(runs), tuple(cells), minutes, " ".join(runs[0].command)))
    orderings = tuple(
        JudgedOrdering(one, judge_ordering(one, by_metric[one.metric]))
        for one in claims.orderings
        if one.profile == profile
    )
    return Table(
        paper,
        profile,
        claims.title,
        dict(claims.metrics),
        tuple(claims.notes),
        tuple(rows),
        orderings,
        tuple(records),
    )


def _cell(metric: str, by_seed: dict[int, float], claim: Value | None) -> Cell:
    values = tuple(value for _, value in sorted(by_seed.items()) if not math.isnan(value))
    if not values:
        nothing = Interval(math.nan, math.nan, math.nan)
        return Cell(metric, (), math.nan, nothing, claim, Verdict("no runs", "not measured"))
    return Cell(metric, values, mean_sd(values)[1], t_interval(values), claim, judge_value(claim, values))


def minus(text: str) -> str:
    """Returns the text with typographic minus signs."""
    return text.replace("-", "−")
