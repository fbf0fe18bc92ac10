"""Sweeps: the same records from every executor, each job once, and faults that stay with their job."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from clrepro.errors import BusyError, DataError, UsageError
from clrepro.records import RunRecord, load_many, read_record
from clrepro.sweep import (
    Executor,
    Folder,
    Job,
    Processes,
    Serial,
    expand,
    find_home,
    load_profile,
    load_profiles,
    paper_names,
    prepare,
    run_job,
    run_sweep,
    select,
    split,
    sweep_lock,
)

JOB = Job("fake", "quick", "walk/6", "short", 1, ["main.py", "--seed", "1"], "00", 2.0)


def plan(paper: Any, out: Path, profile: str = "quick") -> list[Job]:
    found = load_profile(paper.home, "fake", profile)
    with sweep_lock(out, "fake", profile):
        return expand(found, data_sha256=prepare(found, out, lambda line: None))


@contextmanager
def workers(out: Path, n: int) -> Iterator[Processes]:
    executor = Processes(Folder(out), n)
    try:
        yield executor
    finally:
        executor.stop()


def run(jobs: list[Job], executor: Executor) -> tuple[Any, list[str]]:
    told: list[str] = []

    def tell(job: Job, record: RunRecord | None, reason: str) -> None:
        told.append(job.key)

    return run_sweep(jobs, executor, tell), told


# jobs and profiles


def test_job_round_trip_and_what_its_hash_depends_on() -> None:
    assert Job.from_json(JOB.to_json()) == JOB
    same = replace(JOB, seconds=9.0)
    assert same.settings_hash == JOB.settings_hash
    others = [{"seed": 2}, {"command": ["main.py"]}, {"data_sha256": "01"}, {"paper": "other"}]
    hashes = {replace(JOB, **change).settings_hash for change in others}  # type: ignore[arg-type]
    assert len(hashes | {JOB.settings_hash}) == 5


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": "1"}, "seed"),
        ({"command": []}, "command"),
        ({"command": [1]}, "command"),
        ({"method": "../x"}, "method"),
        ({"extra": 1}, "extra"),
        ({"paper": None}, "paper"),
    ],
)
def test_a_wrong_job_is_refused(change: dict[str, Any], named: str) -> None:
    body = json.loads(JOB.to_json()) | change
    with pytest.raises(DataError, match=named):
        Job.from_json(json.dumps(body))


def test_profiles_expand_to_jobs(fake_paper: Any) -> None:
    assert find_home() == fake_paper.home
    assert paper_names(fake_paper.home) == ["fake"]
    jobs = expand(load_profile(fake_paper.home, "fake", "quick"))
    assert [job.key for job in jobs] == [
        "walk/6/short/seed0",
        "walk/6/short/seed1",
        "walk/6/longer/seed0",
        "walk/6/longer/seed1",
    ]
    assert jobs[1].command[-1] == "1"
    assert "{data}/" in jobs[1].command
    assert [job.seed for job in expand(load_profile(fake_paper.home, "fake", "quick"), 4)][:4] == [0, 1, 2, 3]
    assert [job.method for job in select(jobs, "walk/*/l*")] == ["longer", "longer"]
    with pytest.raises(UsageError, match="there are fake"):
        load_profiles(fake_paper.home, "other")
    with pytest.raises(UsageError, match="it has quick"):
        load_profile(fake_paper.home, "fake", "full")


GOOD = (
    '[quick]\nseeds = [0]\n[[quick.row]]\nsetting = "a/b"\nmethod = "m"\ncommand = "main.py --seed {seed}"\n'
)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("seeds = [0]", "", "key 'seeds' is missing"),
        ("seeds = [0]", "seeds = []", "seeds is"),
        ("seeds = [0]", "seeds = [0, 0]", "seeds is"),
        ("seeds = [0]", "seeds = [true]", "seeds is"),
        ("seeds = [0]", "seeds = [0]\nseed = 3", "unknown key 'seed'"),
        ("seeds = [0]", 'seeds = [0]\nprepare = ["get_data.py"]', "prepare is"),
        ("seeds = [0]", 'seeds = [0]\nprepare = [["get_data.py", "{artefacts}"]]', "placeholder"),
        ("{seed}", "1", "has no {seed}"),
        ("{seed}", "{seed} {datta}", "placeholder {datta}"),
        ("{seed}", "{seed} 'open", "cannot be split"),
        ('"m"', '"m/n"', "must not contain"),
        ('"m"', '"../m"', "method"),
        ('"a/b"', "3", "setting is 3"),
        ('"a/b"', '"a__b"', "a__b"),
        ("[[quick.row]]", "[quick.row]", "row must be given as"),
        ("[quick]", "[quick", "not a readable TOML"),
        ("[quick]", "x = 1\n[quick]", "expected a table"),
        ("method", "seconds = -1\nmethod", "seconds is -1"),
        ("method", "colour = 1\nmethod", r"number 1: unknown key 'colour'"),
    ],
)
def test_a_wrong_profile_names_file_and_key(old: str, new: str, named: str, fake_paper: Any) -> None:
    fake_paper.write_profiles(GOOD)
    assert len(expand(load_profile(fake_paper.home, "fake", "quick"))) == 1
    fake_paper.write_profiles(GOOD.replace(old, new, 1))
    with pytest.raises(DataError) as caught:
        load_profiles(fake_paper.home, "fake")
    assert named in str(caught.value)
    assert "profiles.toml" in str(caught.value)


def test_a_row_given_twice_is_refused(fake_paper: Any) -> None:
    fake_paper.write_profiles(GOOD + GOOD.split("\n", 2)[2])
    with pytest.raises(DataError, match="occurs twice"):
        load_profiles(fake_paper.home, "fake")


def test_home_is_an_error_when_it_has_no_papers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CL_REPRO_HOME", str(tmp_path))
    with pytest.raises(UsageError, match="CL_REPRO_HOME"):
        find_home()


# preparation


def test_data_is_prepared_once_and_again_when_it_changed(fake_paper: Any, tmp_path: Path) -> None:
    def times() -> int:
        return len((tmp_path / "fake/quick/prepared.log").read_text().split())

    first = plan(fake_paper, tmp_path)
    assert plan(fake_paper, tmp_path) == first
    assert times() == 1
    numbers = tmp_path / "fake/quick/data/numbers.npy"
    raw = numbers.read_bytes()
    numbers.write_bytes(raw[:-1] + b"?")  # same length: only the checksum can tell
    assert plan(fake_paper, tmp_path) == first
    assert times() == 2
    assert numbers.read_bytes() == raw
    (tmp_path / "fake/quick/data/.prepared.json").write_text("{")
    assert plan(fake_paper, tmp_path) == first
    fake_paper.write_profiles((fake_paper.folder / "profiles.toml").read_text().replace("numbers", "other"))
    assert plan(fake_paper, tmp_path) == first  # other step, equal bytes: done again, equal hash
    assert times() == 4


def test_a_failing_step_is_named_with_its_last_line(fake_paper: Any, tmp_path: Path) -> None:
    text = (fake_paper.folder / "profiles.toml").read_text()
    fake_paper.write_profiles(text.replace('"numbers",', '"--fail",'))
    with pytest.raises(DataError, match=r"get_data\.py --fail.*failed \(no such source\).*prepare\.log"):
        plan(fake_paper, tmp_path)
    fake_paper.write_profiles(text.replace("get_data.py", "missing.py"))
    with pytest.raises(DataError, match=r"missing\.py"):
        plan(fake_paper, tmp_path)


# running


def test_every_executor_makes_the_same_records_and_skips_them_afterwards(
    fake_paper: Any, tmp_path: Path
) -> None:
    comparable = {}
    for name in ("serial", "processes"):
        out = tmp_path / name
        jobs = plan(fake_paper, out)
        with workers(out, 2) as executor:  # also sets the one-thread environment for the serial run
            summary, told = run(jobs, executor if name == "processes" else Serial(Folder(out)))
        assert sorted(told) == sorted(job.key for job in jobs)
        assert len(summary.done) == 4
        records, problems = load_many(out)
        assert not problems
        comparable[name] = [record.comparable() for record in records]
        assert split(jobs, Folder(out)) == (jobs, [])
    assert comparable["serial"] == comparable["processes"]
    assert len(comparable["serial"]) == 4


def test_a_record_is_neutral_and_says_what_the_run_cost(fake_paper: Any, tmp_path: Path) -> None:
    job = plan(fake_paper, tmp_path)[0]
    path = run_job(job, tmp_path)
    record = read_record(path)
    assert path == tmp_path / "fake/quick/records/walk__6/short/seed0.json"
    assert str(tmp_path) not in path.read_text()
    assert record.settings["save_path"] == "{artefacts}/"
    assert record.command == job.command
    assert record.cost["train_s"] == 0.25
    assert 0 < record.cost["cpu_s"] < 30
    assert 0 < record.cost["wall_s"] < 30
    assert 10 < record.cost["peak_rss_mb"] < 4000
    assert record.versions["numpy"]
    assert (tmp_path / "fake/quick/artefacts/walk__6/short/seed0/result.txt").exists()
    assert not list((tmp_path / "fake/quick/work/walk__6/short").iterdir())


@pytest.mark.parametrize("damage", ["half", "failed", "other settings", "other key", "empty"])
def test_a_record_that_is_not_good_is_made_again(damage: str, fake_paper: Any, tmp_path: Path) -> None:
    jobs = plan(fake_paper, tmp_path)[:1]
    path = run_job(jobs[0], tmp_path)
    good = path.read_text()
    changed = {
        "half": good[: len(good) // 2],
        "empty": "",
        "failed": good.replace('"done"', '"failed"'),
        "other settings": good.replace(jobs[0].settings_hash, "0" * 64),
        "other key": good.replace('"seed": 0', '"seed": 1'),
    }[damage]
    assert changed != good
    path.write_text(changed)
    summary, _ = run(jobs, Serial(Folder(tmp_path)))
    assert len(summary.done) == 1
    assert read_record(path).comparable() == RunRecord.from_json(good).comparable()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("raise", "ValueError: two lines"),
        ("exit", "SystemExit: bad flag"),
        ("nan", "FloatingPointError"),
        ("nonsense --steps x", "SystemExit: 2"),
    ],
)
def test_a_failing_job_fails_alone(fault: str, reason: str, fake_paper: Any, tmp_path: Path) -> None:
    fake_paper.add_profile("bad", [("broken", f"--fault {fault}"), ("fine", "")])
    jobs = plan(fake_paper, tmp_path, "bad")
    summary, told = run(jobs, Serial(Folder(tmp_path)))
    assert [(job.method, why) for job, why in summary.failed] == [("broken", reason)]
    assert [job.method for job in summary.done] == ["fine"]
    assert len(told) == 2
    record = read_record(jobs[0].record_path(tmp_path))
    assert (record.status, record.error) == ("diverged" if fault == "nan" else "failed", reason)
    assert {"cpu", "threads"} <= set(record.origin)
    assert (tmp_path / "fake/bad/work/s/broken/seed0/log.txt").exists()
    assert [job.method for job in split(jobs, Folder(tmp_path))[1]] == ["broken"]


def test_a_paper_without_a_program_fails_with_its_reason(tmp_path: Path) -> None:
    path = run_job(replace(JOB, paper="nowhere"), tmp_path)
    assert "nowhere_repro" in read_record(path).error


def test_a_dead_worker_costs_its_job_a_retry_and_no_other_job(fake_paper: Any, tmp_path: Path) -> None:
    rows = [("hopeless", "--fault die"), ("unlucky", "--fault die-once"), ("fine", "")]
    fake_paper.add_profile("deaths", rows)
    jobs = plan(fake_paper, tmp_path, "deaths")
    with workers(tmp_path, 2) as executor:
        summary, told = run(jobs, executor)
    assert sorted(told) == sorted(job.key for job in jobs)
    assert sorted(job.method for job in summary.done) == ["fine", "unlucky"]
    assert [job.method for job, _ in summary.failed] == ["hopeless"]
    assert "died 3 times" in summary.failed[0][1]
    values = {r.method: r.metrics["RA"] for r in load_many(tmp_path)[0] if r.status == "done"}
    assert values["unlucky"] == values["fine"]  # resumed from its checkpoint, not begun with a used generator


def test_work_begun_with_other_settings_is_not_resumed(fake_paper: Any, tmp_path: Path) -> None:
    fake_paper.add_profile("p", [("m", "--fault raise")])
    run_job(plan(fake_paper, tmp_path, "p")[0], tmp_path)  # leaves a checkpoint after one step
    straight = tmp_path / "straight"
    text = (fake_paper.folder / "profiles.toml").read_text()
    fake_paper.write_profiles(text.replace("--model m", "--model another").replace("--fault raise", ""))
    got = read_record(run_job(plan(fake_paper, tmp_path, "p")[0], tmp_path))
    want = read_record(run_job(plan(fake_paper, straight, "p")[0], straight))
    assert got.comparable() == want.comparable()


def test_an_unwritable_record_is_lost_but_not_the_sweep(fake_paper: Any, tmp_path: Path) -> None:
    jobs = plan(fake_paper, tmp_path)
    blocked = tmp_path / "fake/quick/records/walk__6/short"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file where a folder is expected")
    summary, _ = run(jobs, Serial(Folder(tmp_path)))
    assert [job.method for job, _ in summary.lost] == ["short", "short"]
    assert all("walk__6/short" in why and "\n" not in why for _, why in summary.lost)
    assert len(summary.done) == 2


def test_a_second_sweep_on_the_folder_is_refused(tmp_path: Path) -> None:
    with (
        sweep_lock(tmp_path, "fake", "quick"),
        pytest.raises(BusyError, match=f"process {os.getpid()}"),
        sweep_lock(tmp_path, "fake", "quick"),
    ):
        pass


def test_workers_have_one_thread_and_the_environment_comes_back(
    fake_paper: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    jobs = plan(fake_paper, tmp_path)[:1]
    with workers(tmp_path, 1) as executor:
        run(jobs, executor)
    assert read_record(jobs[0].record_path(tmp_path)).settings["threads"] == 1
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


SLEEPER = """
import sys
from pathlib import Path
from clrepro.sweep import *
out = Path(sys.argv[1])
profile = load_profile(find_home(), "fake", "slow")
with sweep_lock(out, "fake", "slow"):
    jobs = expand(profile, data_sha256=prepare(profile, out, print))
    run_sweep(jobs, Processes(Folder(out), 2), lambda *_: None)
"""


def test_workers_die_with_a_killed_parent(fake_paper: Any, tmp_path: Path) -> None:
    fake_paper.add_profile("slow", [("a", "--pause 30"), ("b", "--pause 30")])
    parent = subprocess.Popen([sys.executable, "-c", SLEEPER, str(tmp_path)], env=fake_paper.environment())
    with parent:
        give_up = time.monotonic() + 30
        while len(list(tmp_path.glob("fake/slow/work/s/*/seed0/walk.state"))) < 2:
            assert time.monotonic() < give_up
            assert parent.poll() is None
            time.sleep(0.05)
        children = psutil.Process(parent.pid).children(recursive=True)
        assert len(children) >= 2
        parent.send_signal(signal.SIGKILL)
    assert fake_paper.all_dead(children)
    with sweep_lock(tmp_path, "fake", "slow"):  # and the lock is free
        pass
