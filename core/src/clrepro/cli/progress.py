"""How far a sweep is: a bar with the time left on a terminal, a line per run elsewhere."""

import sys
from math import isnan
from types import TracebackType

from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from clrepro.io.terminal_text import visible
from clrepro.progress import make_bar
from clrepro.records import RunRecord
from clrepro.sweep import Job

# The speed is taken over the whole sweep: rich's default of the last 30 s sees no run of some minutes end.
WHOLE_SWEEP_S = 1e6


class SweepProgress:
    """Shown on stderr within a `with` block; `finished` is to be called after each job of `jobs`.

    The bar counts expected seconds where every row of the profile states them, else runs.
    """

    def __init__(self, title: str, jobs: list[Job]) -> None:
        self._weighted = all(job.seconds > 0 for job in jobs)
        self._n_jobs, self._n_finished = len(jobs), 0
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._progress = make_bar(sys.stderr, *columns, speed_estimate_period=WHOLE_SWEEP_S)
        self._console = self._progress.console
        total = sum(self._weight(job) for job in jobs)
        self._task = self._progress.add_task(visible(title), total=total, count=f"0/{len(jobs)} runs")

    def finished(self, job: Job, record: RunRecord | None, reason: str) -> None:
        """Count `job` and say how it ended; `reason` is "" unless it failed."""
        self._n_finished += 1
        count = f"{self._n_finished}/{self._n_jobs} runs"
        self._progress.update(self._task, advance=self._weight(job), count=count)
        if reason:
            self._say(f"[{count}] {job.key} failed: {reason}")
        elif record is not None and not self._console.is_terminal:
            measured = sorted((name, value) for name, value in record.metrics.items() if not isnan(value))
            metrics = " ".join(f"{name} {value:.3f}" for name, value in measured)
            self._say(f"[{count}] {job.key} {record.cost.get('wall_s', 0.0):.1f} s {metrics}")

    def __enter__(self) -> "SweepProgress":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def _weight(self, job: Job) -> float:
        return job.seconds if self._weighted else 1.0

    def _say(self, line: str) -> None:
        self._console.print(visible(line), markup=False, highlight=False, soft_wrap=True)
