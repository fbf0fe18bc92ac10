"""How far a run is: a bar on a terminal, a line per finished task elsewhere, both on stderr.

Nothing is said in the first `DELAY_S` seconds, so a short run stays as quiet as it was.  A bar is drawn only
on a terminal: no bar and no carriage return goes into a pipe or a log, whatever the environment says.
"""

import contextlib
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from clrepro.errors import UsageError
from clrepro.io.terminal_text import Visible

if TYPE_CHECKING:
    import rich.progress

VARIABLE = "CL_REPRO_PROGRESS_S"
DELAY_S = 10.0  # a run that is over by then says nothing
REDRAW_S = 0.5


def delay_s() -> float:
    """Seconds of silence at the start of a run: the environment's `VARIABLE`, else `DELAY_S`; inf: all of it.

    Raises: UsageError for what is no number from 0 on.
    """
    text = os.environ.get(VARIABLE, "")
    try:
        value = float(text) if text else DELAY_S
    except ValueError:
        value = math.nan
    if not value >= 0:
        raise UsageError(f"{VARIABLE}={text}: seconds of silence, 0 or more; inf: no progress at all")
    return value


def is_terminal(stream: Any) -> bool:
    """Whether a bar may be drawn on `stream`, None included: what it is counts, not FORCE_COLOR."""
    try:
        return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:  # it is closed
        return False


def make_bar(
    stream: TextIO, *columns: "rich.progress.ProgressColumn", **options: Any
) -> "rich.progress.Progress":
    """A rich bar on `stream` that does nothing but print where that is no terminal; options — rich's own.

    What is printed meanwhile appears above the bar, but standard output is led there only if it is a terminal
    too: else it belongs to its file or pipe.
    """
    from rich.console import Console
    from rich.progress import Progress as Bar

    on_terminal = is_terminal(stream)
    console = Console(file=getattr(stream, "unfiltered", stream), force_terminal=on_terminal)
    return Bar(
        *columns, console=console, disable=not on_terminal, redirect_stdout=is_terminal(sys.stdout), **options
    )


def time_left(seconds: float) -> str:
    """`seconds` in the unit that a reader wants: "40 s left", "12 min left", "3.4 h left"."""
    if seconds < 90:
        return f"{seconds:.0f} s left"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min left"
    return f"{seconds / 3600:.1f} h left"


class Progress:
    """The progress of a command that does `n_runs` runs, one after the other or side by side in threads.

    The time left is estimated from what this process did: tasks that a checkpoint brought count as done and
    as no work.  Use it as a context, so that a bar is taken away in the end.

    Args: title — words before each line; bar — False: lines on a terminal too; stream, clock, delay — of the
        tests (default: stderr, a monotonic clock in seconds, `delay_s()`).
    """

    def __init__(
        self,
        n_runs: int = 1,
        *,
        title: str = "",
        bar: bool = True,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        delay: float | None = None,
    ) -> None:
        self.n_runs, self._title, self._clock = n_runs, title, clock
        self._stream = sys.stderr if stream is None else stream
        self._delay = delay_s() if delay is None else delay
        self._with_bar = bar and is_terminal(self._stream)
        self._lock = threading.Lock()
        self._courses: list[Course] = []
        self._skipped = 0
        self._began = self._drawn = 0.0
        self._bar: rich.progress.Progress | None = None

    @classmethod
    def silent(cls) -> "Progress":
        """One that says nothing, for loops that are called by other code than a program."""
        return cls(delay=math.inf)

    def run(
        self, n_tasks: int, done: float = 0, *, finished: int | None = None, noun: str = "task"
    ) -> "Course":
        """The next run begins.  Returns: its course; use it as a context where others go on if it fails.

        Args: n_tasks — of the run; done, finished — what was done before, as in `Course.at`; noun — what the
            tasks are called.
        """
        with self._lock:
            if not self._courses:
                self._began = self._clock()
            course = Course(self, self._skipped + len(self._courses) + 1, n_tasks, noun)
            course.before = course.move(done, finished)
            self._courses.append(course)
        return course

    def skip(self, n_runs: int = 1) -> None:
        """The next `n_runs` runs were finished before."""
        self._skipped += n_runs

    def close(self) -> None:
        """Take the bar away, if there is one."""
        with self._lock:
            if self._bar is not None:
                self._bar.stop()
            self._bar, self._with_bar = None, False

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def tell(self, course: "Course", is_new: bool) -> None:
        """Called by a course that has gone on; is_new — a task was finished."""
        if self._delay == math.inf:
            return
        # A full disk or a closed stderr stops no run.
        with self._lock, contextlib.suppress(OSError, ValueError):
            now = self._clock()
            if now - self._began < self._delay:
                return
            if self._with_bar:
                if is_new or now - self._drawn >= REDRAW_S:
                    self._draw(course, now)
            elif is_new and self._stream is not None:
                percent, left = self._estimate(now)
                count = course.count(course.finished)
                words = ", ".join(filter(None, (count, f"{percent} %", left)))
                print(f"{self._title}{words}", file=self._stream, flush=True)

    def _estimate(self, now: float) -> tuple[int, str]:
        """(percent done, words for the time left, "" while nothing is known)."""
        done = sum(course.share for course in self._courses) + self._skipped
        fresh = sum(course.share - course.before for course in self._courses)
        percent = int(100 * done / self.n_runs + 1e-9)
        if fresh <= 0:
            return percent, ""
        return percent, time_left(max(0.0, (now - self._began) * (self.n_runs - done) / fresh))

    def _draw(self, course: "Course", now: float) -> None:
        percent, left = self._estimate(now)
        count = self._title + course.count(min(course.finished + 1, course.n_tasks))
        if self._bar is None:
            self._bar = self._open_bar()
        self._bar.update(self._bar.task_ids[0], completed=percent, description=count, left=left)
        self._bar.refresh()
        self._drawn = now

    def _open_bar(self) -> "rich.progress.Progress":
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}"),
        )
        # Drawn by the loop itself: a thread that draws would be there when environments fork.
        bar = make_bar(self._stream, *columns, auto_refresh=False, transient=True)
        bar.add_task("", total=100, left="")
        before = sys.stdout, sys.stderr
        bar.start()
        # Rich leads what is printed round the filters of `program.exit_code`, and puts the streams back.
        if sys.stdout is not before[0]:
            sys.stdout = Visible(sys.stdout)
        if sys.stderr is not before[1]:
            sys.stderr = Visible(sys.stderr)
        return bar


class Course:
    """One run on its way through its tasks; made by `Progress.run`."""

    def __init__(self, progress: Progress, number: int, n_tasks: int, noun: str) -> None:
        self._progress, self._number, self._noun = progress, number, noun
        self.n_tasks, self.finished, self.share, self.before = n_tasks, 0, 0.0, 0.0

    def at(self, done: float, finished: int | None = None) -> None:
        """The run has done `done` tasks, parts of one included; cheap, but nothing for every step.

        Args: finished — tasks that are over (default: the whole part of `done`).
        """
        before = self.finished
        self.move(done, finished)
        self._progress.tell(self, self.finished > before)

    def move(self, done: float, finished: int | None) -> float:
        """As `at`, without a word.  Returns: the share of the run that is done."""
        self.finished = int(done) if finished is None else finished
        self.share = min(done / self.n_tasks, 1.0) if self.n_tasks else 1.0
        return self.share

    def count(self, k: int) -> str:
        """The words "task k/T", with the run before them where there are several."""
        several = self._progress.n_runs > 1
        return (f"run {self._number}/{self._progress.n_runs}, " if several else "") + (
            f"{self._noun} {k}/{self.n_tasks}"
        )

    def __enter__(self) -> "Course":
        return self

    def __exit__(self, *_: object) -> None:
        self.share = 1.0  # also of a run that has failed: nothing of it is left to do
