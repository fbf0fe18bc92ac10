"""The campaigns on foreign files, odd records, outages, permissions and bounded work find what is bad."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from faults import bounded, foreign, permissions, store
from faults.results import Tally


def test_one_outage_of_each_length_is_survived() -> None:
    pytest.importorskip("fsspec")
    files = store._file_system()
    n_calls = store._sound(files)
    store.BROKEN.problem = ConnectionError
    for first, length in ((1, 1), (n_calls // 2, 3), (n_calls // 2, 1 << 40)):
        assert store._one(files, first, length) == ""


def test_a_store_that_forgets_or_a_run_made_twice_is_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fsspec")
    files = store._file_system()
    monkeypatch.setattr(store, "_records", lambda files: [])
    store.BROKEN.problem = ConnectionError
    assert "exit code 0 with 0 of 3 records" in store._one(files, 1 << 60, 1)
    monkeypatch.setattr(store, "_records", lambda files: ["r"] * store.N_RUNS)
    sweep = store._sweep
    monkeypatch.setattr(store, "_sweep", lambda folder: (0, "", [*sweep(folder)[2], "again"]))
    assert "runs made for 3 records" in store._one(files, 1 << 60, 1)


def test_a_foreign_file_that_goes_is_a_loss(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "home"
    package = store.tiny_paper(home)
    (home / "papers/tiny/make.py").write_text(foreign.MAKE)
    monkeypatch.setenv("CL_REPRO_HOME", str(home))
    monkeypatch.syspath_prepend(package)
    assert foreign._one(tmp_path / "good", home, "data/x", "file", True) == ""
    assert foreign._one(tmp_path / "linked", home, "data", "link", False) == ""
    really = foreign._sweep

    def careless(out: Path, home: Path, steps: str) -> tuple[int, str]:
        shutil.rmtree(out / foreign.PROFILE / "data", ignore_errors=True)
        return really(out, home, steps)

    monkeypatch.setattr(foreign, "_sweep", careless)
    assert "it is gone" in foreign._one(tmp_path / "bad", home, "data/x", "file", True)


def test_an_odd_record_that_is_passed_over_is_a_loss(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store.tiny_paper(tmp_path / "home")
    monkeypatch.setenv("CL_REPRO_HOME", str(tmp_path / "home"))
    assert foreign._report(tmp_path / "named", {"R": []}, True) == ""
    assert foreign._report(tmp_path / "shown", {}, False) == ""
    from clrepro.cli import outputs

    monkeypatch.setattr(outputs, "without_odd", lambda records: (records[:1], []))
    assert "neither shown nor named" in foreign._report(tmp_path / "bad", {"R": []}, True)


@pytest.mark.parametrize(
    ("code", "said", "good"),
    [
        (1, "error: x: cannot be used (Permission denied)", True), (2, "error: Permission denied", True),
        (1, "Traceback ...\nPermissionError: Permission denied", False), (1, "error: no", False),
        (0, "Permission denied", False), (-1, "hangs", False),
    ],
)  # fmt: skip
def test_the_end_of_a_command_that_met_a_locked_folder(code: int, said: str, good: bool) -> None:
    assert (permissions.judge(code, said) == "") is good


def test_every_paper_has_a_call_on_a_locked_folder() -> None:
    assert {call.paper for call in permissions.CALLS} == {"", "mer", "tag", "ta_agem", "rewire", "hvcl"}


@pytest.mark.skipif(os.getuid() == 0 and shutil.which("setpriv") is None, reason="root without setpriv")
def test_a_locked_folder_is_met(tmp_path: Path) -> None:
    tally = Tally()
    calls = [call for call in permissions.CALLS if call.words == "report --out {in}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(permissions, "CALLS", calls)
        permissions.locked_places(tally, pythons={}, papers=[])
    assert [(row.tried, row.survived) for row in tally.rows] == [(1, 1)]


def test_too_much_time_or_memory_is_a_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = str(store.tiny_paper(tmp_path))
    words = ["reproduce", "tiny", "--seeds", "9" * 17]
    assert bounded._one(words, tmp_path, package)[0] == ""
    monkeypatch.setattr(bounded, "MEGABYTES", 1.0)
    assert " MB" in bounded._one(words, tmp_path, package)[0]
    assert bounded._one(["reproduce", "tiny", "--out", str(tmp_path / "o")], tmp_path, package)[0]


def test_the_new_groups_are_on_the_command_line() -> None:
    from faults import __main__ as faults

    wanted: Any = {"foreign", "odd", "outage", "permissions", "bounded"}
    assert wanted <= set(faults.CAMPAIGNS)
