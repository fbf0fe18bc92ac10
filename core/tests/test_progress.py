"""Progress: what a pipe, a log and a terminal see of it, with a clock of the test's own."""

import io
import math
import os
import pty
import re
import subprocess
import sys

import pytest

from clrepro.errors import UsageError
from clrepro.progress import DELAY_S, VARIABLE, Progress, delay_s, time_left

BAR = set("\r\x1b━╸╺#█▏")


class Clock:
    """Seconds that pass when the test says so."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def lines(clock, steps, *, n_runs=1, delay=0.0, title="", runs=((4, 0),), stream=None):
    """The lines of runs [(n_tasks, done)] whose loops call `at` with `steps` [(seconds, *arguments)]."""
    out = io.StringIO() if stream is None else stream
    with Progress(n_runs, stream=out, clock=clock, delay=delay, title=title) as progress:
        for n_tasks, done in runs:
            course = progress.run(n_tasks, done)
            for seconds, *words in steps:
                clock.now += seconds
                course.at(*words)
    return out.getvalue().splitlines()


def test_a_line_per_finished_task_with_percent_and_time_left(clock):
    told = lines(clock, [(30, 0.5), (30, 1), (60, 2), (0, 2.5), (60, 3), (60, 4)])
    assert told == [
        "task 1/4, 25 %, 3 min left",
        "task 2/4, 50 %, 2 min left",
        "task 3/4, 75 %, 60 s left",
        "task 4/4, 100 %, 0 s left",
    ]


def test_a_run_that_is_over_in_time_says_nothing_and_a_longer_one_begins_late(clock):
    assert lines(clock, [(1, k) for k in range(1, 5)], delay=4.5) == []
    assert lines(clock, [(3, k) for k in range(1, 5)], delay=9.0) == [
        "task 3/4, 75 %, 3 s left",
        "task 4/4, 100 %, 0 s left",
    ]


def test_a_resumed_run_counts_what_was_done_and_estimates_from_what_it_did_itself(clock):
    assert lines(clock, [(100, 9), (100, 10)], runs=[(10, 8)]) == [
        "task 9/10, 90 %, 2 min left",
        "task 10/10, 100 %, 0 s left",
    ]
    part = lines(clock, [(10, 9)], runs=[(10, 8.5)])  # half a task in 10 s: one more takes 20 s
    assert part == ["task 9/10, 90 %, 20 s left"]


def test_several_runs_share_one_estimate(clock):
    told = lines(clock, [(10, 1), (10, 2)], n_runs=2, runs=[(2, 0), (2, 0)])
    assert told == [
        "run 1/2, task 1/2, 25 %, 30 s left",
        "run 1/2, task 2/2, 50 %, 20 s left",
        "run 2/2, task 1/2, 75 %, 10 s left",
        "run 2/2, task 2/2, 100 %, 0 s left",
    ]


def test_runs_that_were_finished_before_count_and_cost_nothing(clock):
    out = io.StringIO()
    progress = Progress(4, stream=out, clock=clock, delay=0.0, title="seed 7: ")
    progress.skip(2)
    course = progress.run(2, noun="epoch")
    clock.now += 10
    course.at(1)
    assert out.getvalue() == "seed 7: run 3/4, epoch 1/2, 62 %, 30 s left\n"


def test_a_run_that_fails_beside_others_leaves_nothing_to_wait_for(clock):
    out = io.StringIO()
    progress = Progress(2, stream=out, clock=clock, delay=0.0)
    other = progress.run(2)
    with pytest.raises(FloatingPointError), progress.run(2):
        raise FloatingPointError
    clock.now += 10
    other.at(2)
    assert out.getvalue() == "run 1/2, task 2/2, 100 %, 0 s left\n"


def test_tasks_may_finish_apart_from_the_work_done(clock):
    assert lines(clock, [(10, 1.0, 0), (10, 2.0, 1), (10, 2.5, 1)]) == ["task 1/4, 50 %, 20 s left"]


def test_a_task_that_passes_with_another_gets_one_line(clock):
    assert lines(clock, [(10, 3)]) == ["task 3/4, 75 %, 3 s left"]


def test_silent_says_nothing(capsys):
    Progress.silent().run(2).at(2)
    assert capsys.readouterr() == ("", "")


class Full(io.StringIO):
    def write(self, text):
        raise OSError(28, "No space left on device")


def test_a_full_disk_or_a_missing_stderr_stops_no_run(clock, monkeypatch):
    assert lines(clock, [(10, 1)], stream=Full()) == []
    closed = io.StringIO()
    closed.close()
    Progress(stream=closed, clock=clock, delay=0.0).run(2).at(1)
    monkeypatch.setattr(sys, "stderr", None)
    Progress(clock=clock, delay=0.0).run(2).at(1)


@pytest.mark.parametrize("text", ["soon", "-1", "nan"])
def test_a_wrong_delay_is_one_line(text, monkeypatch):
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(UsageError, match=f"^{VARIABLE}={text}: seconds of silence, 0 or more"):
        Progress()


def test_the_delay_comes_from_the_environment(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert delay_s() == DELAY_S
    monkeypatch.setenv(VARIABLE, "inf")
    assert delay_s() == math.inf


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s left"), (89, "89 s left"), (90, "2 min left"), (5399, "90 min left"), (5400, "1.5 h left")],
)
def test_time_left_is_in_a_unit_to_read(seconds, words):
    assert time_left(seconds) == words


PROGRAM = """
import sys
from functools import partial
from clrepro.errors import DataError
from clrepro.program import exit_code
from clrepro.progress import Progress

def program(argv):
    with Progress() as progress:
        course = progress.run(3)
        for k in range(3):
            course.at(k + 0.5)
            course.at(k + 1)
            print(f"TASK {k + 1} \\x1b[2J", flush=True)
    print("end")

sys.exit(exit_code(program, None, paper="mer", packages=()))
"""


def on_terminal(command, *, stdout_too, **variables):
    """Run `command` with stderr on a terminal; returns (what a piped stdout got, what is shown)."""
    ours, theirs = pty.openpty()
    env = {**os.environ, VARIABLE: "0", "TERM": "xterm", "COLUMNS": "100", **variables}
    stdout = theirs if stdout_too else subprocess.PIPE
    child = subprocess.Popen(command, stdout=stdout, stderr=theirs, stdin=subprocess.DEVNULL, env=env)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux: the last one has closed it
            break
        if not piece:
            break
        shown += piece
    piped = b"" if stdout_too else child.stdout.read()
    assert child.wait(60) == 0, shown
    if child.stdout is not None:
        child.stdout.close()
    os.close(ours)
    return piped.decode(), shown.decode()


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_terminal_gets_a_bar_and_a_piped_stdout_stays_the_programs():
    piped, shown = on_terminal([sys.executable, "-c", PROGRAM], stdout_too=False)
    assert piped == "TASK 1 \\x1b[2J\nTASK 2 \\x1b[2J\nTASK 3 \\x1b[2J\nend\n"
    assert "\r" in shown
    assert "━" in shown
    for part in ("task 1/3", "task 3/3", " 66%", "100%", "s left"):
        assert part in plain(shown)
    assert "TASK" not in shown


def test_lines_of_the_program_stand_above_the_bar_and_steer_nothing():
    _, shown = on_terminal([sys.executable, "-c", PROGRAM], stdout_too=True)
    assert "\x1b[2J" not in shown
    for k in (1, 2, 3):
        assert re.search(rf"(^|\r|\n)TASK {k} \\x1b\[2J *\r?\n", plain(shown)), shown
    assert plain(shown).rstrip().endswith("end")


def test_a_dumb_terminal_gets_lines():
    _, shown = on_terminal([sys.executable, "-c", PROGRAM], stdout_too=False, TERM="dumb")
    assert shown.replace("\r\n", "\n").startswith("task 1/3, 33 %")
    assert not BAR & set(shown.replace("\r\n", "\n"))


@pytest.mark.parametrize("variables", [{}, {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}])
def test_no_bar_goes_into_a_pipe_whatever_the_environment_says(variables):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, env={**os.environ, VARIABLE: "0", **variables}
    )
    told = done.stderr.decode()
    assert [line.partition(",")[0] for line in told.split("\n")] == ["task 1/3", "task 2/3", "task 3/3", ""]
    assert not BAR & set(told)
    assert done.stdout.decode().startswith("TASK 1 \\x1b[2J\nTASK 2")


SWEEP = """
from clrepro.cli.progress import SweepProgress
from clrepro.sweep import Job
job = Job("mer", "quick", "s", "m", 0, ["main.py"])
with SweepProgress("mer quick", [job]) as progress:
    progress.finished(job, None, "broken")
"""


def test_a_sweep_puts_no_bar_into_a_pipe_either():
    env = {**os.environ, "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}
    done = subprocess.run([sys.executable, "-c", SWEEP], capture_output=True, env=env, check=True)
    assert done.stderr.decode() == "[1/1 runs] s/m/seed0 failed: broken\n"
    assert done.stdout == b""


def test_a_sweep_has_its_bar_on_a_terminal():
    piped, shown = on_terminal([sys.executable, "-c", SWEEP], stdout_too=False)
    assert piped == ""
    assert "━" in shown
    assert "failed: broken" in plain(shown)
