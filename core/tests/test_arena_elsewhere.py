"""Methods that need another Python run in a process of that one: its answers, its failures, its end."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from clrepro.arena import environments, methods
from clrepro.arena.program import Run, run_program
from clrepro.arena.validate import small_plan
from clrepro.errors import DataError, UsageError

FAST = "fine-tuning"


@pytest.fixture(autouse=True)
def no_process_is_left():
    yield
    environments.end_children()


def run(tmp_path, **more):
    return Run(FAST, small_plan(), 0, **more).words()


def test_another_python_gives_the_same_numbers_and_says_its_versions(tmp_path) -> None:
    here = run_program(run(tmp_path), work_dir=tmp_path)
    there = environments.run_elsewhere(sys.executable, run(tmp_path), tmp_path)
    assert there.metrics == pytest.approx(dict(here.metrics), nan_ok=True)
    np.testing.assert_array_equal(
        np.array(there.series["R"], float), np.array(here.series["R"], float)
    )  # null is nan
    assert there.versions["numpy"] == np.__version__
    assert there.cost["cpu_s"] > 0
    again = environments.run_elsewhere(sys.executable, run(tmp_path), tmp_path)
    assert len(environments._children) == 1  # the same process
    assert again.metrics == there.metrics


def test_its_failures_are_those_of_the_program(tmp_path) -> None:
    with pytest.raises(TimeoutError, match="over budget"):
        environments.run_elsewhere(sys.executable, run(tmp_path, budget_s=-1.0), tmp_path)
    with pytest.raises(FloatingPointError, match="diverged"):
        environments.run_elsewhere(sys.executable, run(tmp_path, options={"lr": 1e30}), tmp_path)
    with pytest.raises(RuntimeError, match=r"TypeError: .*unknown"):
        environments.run_elsewhere(sys.executable, run(tmp_path, options={"unknown": 1}), tmp_path)
    assert "Traceback" in (tmp_path / "log.txt").read_text()


def test_a_process_that_dies_is_one_line_and_the_next_run_gets_a_new_one(tmp_path) -> None:
    environments.run_elsewhere(sys.executable, run(tmp_path), tmp_path)
    (child,) = environments._children.values()
    child.kill()
    child.wait()
    environments.run_elsewhere(sys.executable, run(tmp_path), tmp_path)
    assert environments._children[sys.executable] is not child


def foreign(monkeypatch, needs=("no_such_framework",)):
    entry = replace(methods.find(FAST), needs=needs)
    monkeypatch.setattr("clrepro.arena.methods.known", lambda: {FAST: entry})
    return entry


def test_a_method_goes_to_the_python_that_its_paper_names(monkeypatch, tmp_path) -> None:
    entry = foreign(monkeypatch)
    place = tmp_path / "python"
    place.write_text("#!/bin/sh\nexit 0\n")
    place.chmod(0o755)
    monkeypatch.setenv("CL_REPRO_PYTHON_MER", str(place))
    assert environments.python_for(entry) == str(place)
    went = []
    monkeypatch.setattr("clrepro.arena.program.run_elsewhere", lambda python, argv, work: went.append(python))
    run_program(run(tmp_path), work_dir=tmp_path)
    assert went == [str(place)]


def test_a_missing_environment_is_one_line_with_the_cure(monkeypatch) -> None:
    monkeypatch.setenv("CL_REPRO_PYTHON_MER", "/nowhere/python")
    entry = foreign(monkeypatch)
    with pytest.raises(UsageError, match="needs no_such_framework; make its environment with `nox -s env-m"):
        environments.python_for(entry)


def test_a_run_of_another_protocol_or_a_changed_file_is_refused(tmp_path) -> None:
    with pytest.raises(DataError, match="protocol 0: this version has"):
        run_program(run(tmp_path, protocol=0), work_dir=tmp_path)
    path = tmp_path / "mine.py"
    path.write_text("class Mine:\n def __init__(s, spec, *, seed): ...\n def observe(s, x, y): ...\n"
                    " def predict(s, x): ...\n")  # fmt: skip
    words = Run(f"{path}:Mine", small_plan(), 0, digest="0" * 64).words()
    with pytest.raises(DataError, match="has changed since"):
        run_program(words, work_dir=tmp_path)
