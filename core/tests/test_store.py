"""Stores: the same records in a folder and under an address, whole or not at all."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clrepro.errors import DataError, UsageError
from clrepro.records import read_record
from clrepro.sweep import Address, Folder, Job, Serial, expand, load_profile, open_store, prepare, run_sweep

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def address(fake_paper: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Address]:
    """An empty store in memory, with the fake paper's prepare steps."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    steps = {"fake/quick": load_profile(fake_paper.home, "fake", "quick").prepare}
    store = open_store("memory://bucket/runs", steps)
    assert isinstance(store, Address)
    yield store
    fsspec.filesystem("memory").store.clear()


def plan(fake_paper: Any, scratch: Path) -> list[Job]:
    profile = load_profile(fake_paper.home, "fake", "quick")
    return expand(profile, data_sha256=prepare(profile, scratch, lambda line: None))


def test_an_address_gets_the_records_of_a_folder(fake_paper: Any, tmp_path: Path, address: Address) -> None:
    jobs = plan(fake_paper, tmp_path / "here")
    folder = Folder(tmp_path / "here")
    for store in (folder, address):
        assert len(run_sweep(jobs, Serial(store), lambda *_: None).done) == 4
        assert store.finished(jobs) == jobs
    ours = [record.comparable() for record in folder.records(jobs)]
    assert ours == [record.comparable() for record in address.records(jobs)]
    files = fsspec.filesystem("memory").find("/bucket/runs")
    assert "/bucket/runs/fake/quick/artefacts/walk__6/short/seed0/result.txt" in files
    assert not [path for path in files if path.endswith(".tmp")]


def test_what_the_coordinator_is_sent_is_small(fake_paper: Any, tmp_path: Path) -> None:
    job = plan(fake_paper, tmp_path)[0]
    slim = Folder(tmp_path).carry_out(job)
    whole = read_record(job.record_path(tmp_path))
    assert (slim.key, slim.metrics["RA"], slim.cost) == (whole.key, whole.metrics["RA"], whole.cost)
    assert not slim.series
    assert whole.series


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[1]"])
def test_corrupt_records_under_an_address_are_made_again(
    text: bytes, fake_paper: Any, tmp_path: Path, address: Address
) -> None:
    jobs = plan(fake_paper, tmp_path)
    assert address.finished(jobs) == []
    address.carry_out(jobs[0])
    assert address.finished(jobs) == jobs[:1]
    files = fsspec.filesystem("memory")
    path = "/bucket/runs/fake/quick/records/walk__6/short/seed0.json"
    files.pipe_file(path, text)
    assert address.finished(jobs) == []
    address.carry_out(jobs[0])  # this machine still has it: sent again, not run again
    assert address.finished(jobs) == jobs[:1]


def test_a_machine_with_other_data_is_refused(fake_paper: Any, tmp_path: Path, address: Address) -> None:
    job = plan(fake_paper, tmp_path)[0]
    other = Job(**{**vars(job), "data_sha256": "0" * 64})
    with pytest.raises(DataError, match="prepared other data"):
        address.carry_out(other)


def test_an_address_that_fails_is_one_line(
    fake_paper: Any, tmp_path: Path, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("no right to write")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "pipe_file", refuse)
    summary = run_sweep(plan(fake_paper, tmp_path)[:1], Serial(address), lambda *_: None)
    assert "no right to write" in summary.lost[0][1]
    assert "\n" not in summary.lost[0][1]


def test_places_are_told_apart(tmp_path: Path) -> None:
    assert open_store(str(tmp_path), {}) == Folder(tmp_path)
    assert open_store(f"file://{tmp_path}", {}) == Folder(tmp_path)
    with pytest.raises(UsageError, match="nowhere://x"):
        open_store("nowhere://x", {})
