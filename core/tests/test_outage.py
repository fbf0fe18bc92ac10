"""A store that stops answering, was never there, or forgets: no finished run is lost, none made twice."""

import pickle
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from clrepro.cli import main
from clrepro.records import load_many, read_record
from clrepro.sweep import Serial, expand, load_profile, open_store, prepare, run_job, run_sweep
from clrepro.sweep import filesystem as fs
from clrepro.sweep import store as stores
from clrepro.sweep.outbox import NotStarted, Outbox, Waiting

fsspec = pytest.importorskip("fsspec")
from fsspec.implementations.memory import MemoryFileSystem  # noqa: E402

URL = "faulty://bucket/runs"
SPEC = '[[profile]]\npaper = "fake"\nprofile = "quick"\n'


class Faulty(MemoryFileSystem):
    """Memory of its own that goes down when told, and can forget what it is given."""

    protocol = "faulty"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    down_after: float = float("inf")  # records taken before it stops answering
    down_in_run = 0  # the run in the middle of which it stops, from 1
    up_after: float = float("inf")  # refusals before it answers again
    forgets = False
    hangs_s = 0.0
    refusals = 0

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        stripped: str = super()._strip_protocol(path.removeprefix("faulty:/"))
        return stripped

    @classmethod
    def answer(cls) -> None:
        time.sleep(cls.hangs_s)
        if len([path for path in cls.store if "/records/" in path]) < cls.down_after:
            return
        cls.refusals += 1
        if cls.refusals > cls.up_after:
            cls.down_after = float("inf")
            return
        raise ConnectionError("connection refused")

    def ls(self, path: str, detail: bool = True, **words: Any) -> Any:
        self.answer()
        return super().ls(path, detail=detail, **words)

    def pipe_file(self, path: str, value: bytes, **words: Any) -> None:
        self.answer()
        super().pipe_file(path, value, **words)

    def put_file(self, source: str, path: str, **words: Any) -> None:
        self.answer()
        super().put_file(source, path, **words)

    def mv(self, source: str, path: str, **words: Any) -> None:
        super().mv(source, path, **words)
        if self.forgets:
            self.store.pop(path)


class Buckets(MemoryFileSystem):
    """As object stores: makedirs creates the bucket."""

    protocol = ("s3", "s3a")
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        stripped: str = super()._strip_protocol(path.removeprefix("bucket:/"))
        return stripped

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        assert self.exists("/" + path.strip("/").partition("/")[0]), f"creates the bucket of {path}"
        super().makedirs(path, exist_ok=exist_ok)


@pytest.fixture
def faulty(fake_paper: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Faulty]]:
    fsspec.register_implementation("faulty", Faulty, clobber=True)
    fsspec.register_implementation("bucket", Buckets, clobber=True)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr(stores, "_FIRST_PAUSE_S", 0.01)
    for name in ("down_after", "down_in_run", "up_after", "forgets", "hangs_s", "refusals"):
        monkeypatch.setattr(Faulty, name, vars(Faulty)[name])
    yield Faulty
    for system in (Faulty, Buckets):
        system.store.clear()
        system.pseudo_dirs[:] = [""]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the jobs that were begun."""
    begun: list[str] = []
    really = stores.run_job

    def run_job(job: Any, out: Path) -> Path:
        begun.append(job.name)
        if len(begun) == Faulty.down_in_run:
            Faulty.down_after = 0
        return really(job, out)

    monkeypatch.setattr(stores, "run_job", run_job)
    return begun


def sweep(paper: Any, *flags: str, out: str = URL) -> int:
    (paper.home / "s.toml").write_text(SPEC)
    return main(["sweep", str(paper.home / "s.toml"), "--executor", "serial", "--out", out, *flags])


def names() -> list[str]:
    return sorted(path for path in Faulty.store if "/records/" in path)


def test_after_a_short_outage_all_is_there_and_nothing_was_made_twice(
    faulty: Any, runs: list[str], fake_paper: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faulty.down_in_run, faulty.up_after = 2, 4
    assert sweep(fake_paper) == 0
    assert len(names()) == len(runs) == len(set(runs)) == 4
    assert faulty.refusals == 5
    assert not list((tmp_path / "outbox").rglob("seed*.json"))
    err = capsys.readouterr().err
    assert "connection refused" in err
    assert "waiting for" not in err


def test_in_a_long_outage_nothing_new_starts_and_the_next_call_sends_what_waits(
    faulty: Any, runs: list[str], fake_paper: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faulty.down_in_run = 2
    assert sweep(fake_paper, "--store_patience", "0.1") == 1
    assert len(names()) == 1
    assert len(runs) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    (kept,) = (tmp_path / "outbox").rglob("seed*.json")
    box = Outbox(URL)
    assert f"1 in {box.where}" in last
    assert URL in last
    assert kept.is_relative_to(box.folder)
    record = load_many(box.folder)[0][0]
    assert list((tmp_path / "outbox").rglob("result.txt"))

    shutil.rmtree(tmp_path / "tmp")  # as a batch system does at a job's end
    (tmp_path / "tmp").mkdir()
    faulty.down_after = float("inf")
    assert sweep(fake_paper) == 0
    assert len(names()) == 4
    assert len(runs) == len(set(runs)) == 4
    store = open_store(URL, {})
    sent = [each for each in store.records(_jobs(fake_paper, tmp_path)) if each.key == record.key]
    assert sent == [record]  # its cost among the rest: not a second run's
    assert not list((tmp_path / "outbox").rglob("*.json"))
    assert any(path.endswith(f"seed{record.seed}/result.txt") for path in Faulty.store)
    assert "sent: 1 finished runs" in capsys.readouterr().err


def _jobs(paper: Any, tmp_path: Path) -> Any:
    profile = load_profile(paper.home, "fake", "quick")
    return expand(profile, data_sha256=prepare(profile, tmp_path / "plan", lambda line: None))


def test_a_worker_sends_what_waits_before_it_begins_and_runs_no_finished_job_again(
    faulty: Any, runs: list[str], fake_paper: Any, tmp_path: Path
) -> None:
    steps = {"fake/quick": load_profile(fake_paper.home, "fake", "quick").prepare}
    store = open_store(URL, steps, patience_s=0.0)
    jobs = _jobs(fake_paper, tmp_path)
    faulty.down_after = 0
    with pytest.raises(NotStarted, match="connection refused"):
        store.carry_out(jobs[0])
    assert runs == []
    faulty.down_after = float("inf")

    def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionError("reset by peer")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Faulty, "mv", refuse)
        with pytest.raises(Waiting, match="reset by peer"):
            store.carry_out(jobs[0])
    shutil.rmtree(tmp_path / "tmp")
    (tmp_path / "tmp").mkdir()
    store.carry_out(jobs[0])
    assert runs == [jobs[0].name]
    assert store.finished(jobs) == jobs[:1]
    assert not [path for path in Faulty.store if path.endswith(".tmp")]


def test_a_store_that_forgets_is_an_error_that_names_the_run(
    faulty: Any, runs: list[str], fake_paper: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    faulty.forgets = True
    assert sweep(fake_paper) == 1
    err = capsys.readouterr().err
    assert "not in the store" in err
    assert "walk/6/longer/seed0" in err
    assert "3 runs" in err
    assert len(runs) == 1


def test_a_record_that_goes_missing_later_is_found_missing_at_the_end(
    faulty: Any, fake_paper: Any, tmp_path: Path
) -> None:
    steps = {"fake/quick": load_profile(fake_paper.home, "fake", "quick").prepare}
    store = open_store(URL, steps)
    jobs = _jobs(fake_paper, tmp_path)

    def lose(job: Any, record: Any, reason: str) -> None:
        if job == jobs[2]:
            Faulty.store.pop(f"/bucket/runs/{job.record_path(Path('.')).as_posix()}")

    summary = run_sweep(jobs, Serial(store), lose, store)
    assert summary.done == [jobs[0], jobs[1], jobs[3]]
    assert [job for job, reason in summary.lost if "not in the store" in reason] == [jobs[2]]
    assert not summary.good


@pytest.mark.parametrize("executor", ["processes", "serial"])
def test_the_memory_of_another_process_is_no_place_for_records(executor: str, fake_paper: Any) -> None:
    spec = fake_paper.home / "s.toml"
    spec.write_text(SPEC)
    done = fake_paper.cli("sweep", str(spec), "--executor", executor, "--out", "memory://b/x", "--jobs", "1")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "not in the store" in done.stderr or "memory" in done.stderr.splitlines()[-1]


def test_a_store_that_cannot_be_reached_is_one_line(
    faulty: Any, runs: list[str], fake_paper: Any, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    faulty.down_after = 0
    assert sweep(fake_paper) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "connection refused" in err
    faulty.down_after, faulty.hangs_s = float("inf"), 1.0
    monkeypatch.setattr(fs, "ANSWER_S", 0.1)
    assert sweep(fake_paper) == 2
    assert "no answer within" in capsys.readouterr().err
    assert runs == []


def test_a_bucket_that_is_not_there_is_refused_and_not_created(
    faulty: Any, fake_paper: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep(fake_paper, out="bucket://mistyped/runs") == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "mistyped" in err
    assert Buckets.pseudo_dirs == [""]
    fsspec.filesystem("bucket").mkdir("/there")
    assert sweep(fake_paper, out="bucket://there/runs") == 0
    assert len([path for path in Buckets.store if "/records/" in path]) == 4


def test_a_store_that_says_no_is_not_asked_again(faulty: Any, fake_paper: Any, tmp_path: Path) -> None:
    steps = {"fake/quick": load_profile(fake_paper.home, "fake", "quick").prepare}
    store = open_store(URL, steps)

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("read only")

    began = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Faulty, "pipe_file", refuse)
        summary = run_sweep(_jobs(fake_paper, tmp_path), Serial(store), lambda *_: None, store)
    assert time.monotonic() - began < 30
    assert (len(summary.lost), summary.not_started) == (1, 3)
    assert summary.outboxes == {store.outbox.where}


def test_what_waits_survives_the_way_back_from_a_worker() -> None:
    there = pickle.loads(pickle.dumps(Waiting("text", "host:/folder")))
    assert (type(there), str(there), there.where) == (Waiting, "text", "host:/folder")


def test_an_outbox_leaves_out_what_is_no_record_and_sends_the_rest(
    faulty: Any, fake_paper: Any, tmp_path: Path
) -> None:
    steps = {"fake/quick": load_profile(fake_paper.home, "fake", "quick").prepare}
    store = open_store(URL, steps, patience_s=0.0)
    jobs = _jobs(fake_paper, tmp_path)
    damaged = jobs[0].record_path(store.outbox.folder)
    damaged.parent.mkdir(parents=True)
    damaged.write_text("{")
    whole = read_record(run_job(jobs[1], tmp_path / "plan"))
    store.outbox.put(whole, tmp_path / "plan", tmp_path / "plan" / "none")
    assert store.send_waiting() == [whole]
    assert store.finished(jobs) == [jobs[1]]
    assert store.outbox.waiting() == [damaged]
