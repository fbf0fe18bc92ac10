"""The table of one stream: a row per method, best first, failures among them; as Markdown, CSV and LaTeX."""

import csv
import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clrepro.arena.loop import MAIN
from clrepro.arena.verdict import Comparison, compare, sentence
from clrepro.metrics.stats import Interval, t_interval
from clrepro.records import RunRecord
from clrepro.report.tables import minus

MEASURED = {  # of a record: heading, factor, decimals
    "final_accuracy": ("final accuracy %", 100.0, 2),
    "learning_accuracy": ("learning accuracy %", 100.0, 2),
    "backward_transfer": ("backward transfer %", 100.0, 2),
    "forgetting": ("forgetting %", 100.0, 2),
}


@dataclass(frozen=True)
class Line:
    """A method's row: numbers over its finished seeds, and what became of the others.

    values — final accuracy by seed; cells — metric to mean with its 95 % interval; memory_bytes, seconds
    (of training) — means; told — what it is told of tasks; failures — "diverged" and such to how often;
    reason — of the first.
    """

    method: str
    values: dict[int, float]
    cells: dict[str, Interval]
    memory_bytes: float
    seconds: float
    told: str
    failures: dict[str, int]
    reason: str
    against: Comparison | None = None


@dataclass(frozen=True)
class StreamTable:
    """All lines of a stream, best first; subject — the method whose verdict is told."""

    stream: str
    lines: list[Line]
    subject: str

    @property
    def words(self) -> str:
        """The verdict in one line of words."""
        values = {line.method: line.values for line in self.lines}
        own = values.pop(self.subject, {})
        return f"{self.stream}: {sentence(self.subject, own, values)}"

    def markdown(self) -> str:
        """The table as Markdown, its verdict first."""
        heads, rows = self.cells()
        lines = [heads, ["---", *["---:" for _ in heads[1:]]], *rows]
        return "\n".join([self.words, "", *("| " + " | ".join(row) + " |" for row in lines), "", NOTE, ""])

    def csv(self) -> str:
        """One line per method: means, interval bounds and p values, unrounded."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        bounds = [f"{name}{part}" for name in MEASURED for part in ("", "_low", "_high")]
        tests = ["difference", "difference_low", "difference_high", "p", "p_holm"]
        told = ["memory_bytes", "train_s", "told", "failures", "reason"]
        writer.writerow(["stream", "method", "n", *bounds, *told, *tests])
        for line in self.lines:
            numbers = [n for name in MEASURED for n in _three(line.cells.get(name))]
            c = line.against
            test: list[Any] = [*_three(c.difference if c else None), c.p if c else "", c.p_holm if c else ""]
            cells: list[Any] = [
                self.stream, line.method, len(line.values), *numbers, line.memory_bytes, line.seconds,
                line.told, _failures(line), line.reason, *test,
            ]  # fmt: skip
            writer.writerow(cells)
        return out.getvalue()

    def latex(self) -> str:
        """The table for a paper, in booktabs' manner."""
        heads, rows = self.cells()
        lines = [[_tex(cell) for cell in row] for row in (heads, *rows)]
        body = [" & ".join(row) + r" \\" for row in lines]
        return "\n".join([
            rf"% {_tex(self.words)}", rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}", r"\toprule",
            body[0], r"\midrule", *body[1:], r"\bottomrule", r"\end{tabular}", "",
        ])  # fmt: skip

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Returns the headings and the rows, in words."""
        heads = ["method", "told", "n", *(head for head, _, _ in MEASURED.values()), "memory", "train s"]
        heads.append(f"{self.subject} minus it, p")
        rows = []
        for line in self.lines:
            cells = [_cell(line.cells.get(name), *MEASURED[name][1:]) for name in MEASURED]
            n = " ".join(filter(None, [str(len(line.values)), _failures(line)]))
            own = "" if line.method == self.subject else _test(line.against)
            size, seconds = human_bytes(line.memory_bytes), _number(line.seconds, 1)
            rows.append([line.method, line.told or "no", n, *cells, size, seconds, own])
        return heads, rows


NOTE = (
    "Mean over n seeds ± half of the 95 % Student interval.  told: what the method is told of tasks.  "
    "memory: all that it keeps, parameters included.  p: exact sign-flip test on pairs of one seed, "
    "two-sided, after Holm."
)


def stream_table(stream: str, records: Sequence[RunRecord], subject: str) -> StreamTable:
    """Returns the table of one stream's records; lines without a finished run come last."""
    by_method: dict[str, list[RunRecord]] = {}
    for record in records:
        if record.setting == stream:
            by_method.setdefault(record.method, []).append(record)
    values = {name: _values(group) for name, group in by_method.items()}
    own = values.get(subject, {})
    others = {name: one for name, one in values.items() if name != subject}
    tests = {one.other: one for one in compare(own, others)}
    lines = [_line(name, group, tests.get(name)) for name, group in by_method.items()]
    lines.sort(key=lambda line: (-line.cells[MAIN].mean if MAIN in line.cells else math.inf, line.method))
    return StreamTable(stream, lines, subject)


def _values(records: Sequence[RunRecord]) -> dict[int, float]:
    return {r.seed: r.metrics[MAIN] for r in sorted(records, key=lambda r: r.seed) if r.status == "done"}


def _line(name: str, records: Sequence[RunRecord], test: Comparison | None) -> Line:
    done = [record for record in records if record.status == "done"]
    bad = [record for record in records if record.status != "done"]
    cells = {key: t_interval([record.metrics[key] for record in done]) for key in MEASURED} if done else {}
    told = str(done[0].settings.get("told", "")) if done else ""
    return Line(
        name, _values(done), cells, _mean([record.metrics["memory_bytes"] for record in done]),
        _mean([record.cost.get("train_s", math.nan) for record in done]), told,
        dict(Counter(record.status for record in bad)), bad[0].error if bad else "", test,
    )  # fmt: skip


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _three(interval: Interval | None) -> list[float | str]:
    return [interval.mean, interval.low, interval.high] if interval else ["", "", ""]


def _cell(interval: Interval | None, factor: float, digits: int) -> str:
    if interval is None or math.isnan(interval.mean):
        return "–"
    mean = minus(f"{factor * interval.mean:.{digits}f}")
    half = factor * (interval.high - interval.low) / 2
    return mean if math.isnan(half) else f"{mean} ± {half:.{digits}f}"


def _test(test: Comparison | None) -> str:
    if test is None:
        return "–"
    p = "p < .001" if test.p_holm < 0.001 else f"p = {test.p_holm:.3f}".replace("0.", ".", 1)
    return f"{minus(f'{100 * test.difference.mean:+.2f}')}, {p}"


def _failures(line: Line) -> str:
    return ", ".join(f"{n} {status}" for status, n in sorted(line.failures.items()))


def _number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def human_bytes(n: float) -> str:
    """Returns bytes in words, e.g. "1.2 MB"; a dash where they are not known."""
    if math.isnan(n):
        return "–"
    for unit, size in (("MB", 1e6), ("kB", 1e3)):
        if n >= size:
            return f"{n / size:.1f} {unit}"
    return f"{n:.0f} B"


def _tex(text: str) -> str:
    for plain, tex in (("\\", r"\textbackslash{}"), ("%", r"\%"), ("_", r"\_"), ("&", r"\&"), ("#", r"\#")):
        text = text.replace(plain, tex)
    return text.replace("±", r"$\pm$").replace("−", "$-$").replace("–", "--").replace("<", "$<$")
