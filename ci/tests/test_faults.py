"""The fault campaigns' own logic: counting, plans, what they take for a loss."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from faults import commands as works
from faults import disk_full, hostile, kill_tests, probe
from faults.mutations import twisted
from faults.reader_case import CHECKSUM, EVIDENCE, Subject, digest
from faults.results import Row, Tally

CI = Path(probe.__file__).parents[1]


def test_a_row_counts_and_the_document_has_the_schema(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tally = Tally()
    with tally.row("g", "n") as row:
        row.add()
        row.add("gone", case="seed 3")
        row.add("ran", executed=True)
    assert (row.tried, row.survived, row.lost, row.executed) == (3, 1, 1, 1)
    assert tally.bad
    assert "lost: g/n seed 3: gone" in capsys.readouterr().err
    assert "all" in tally.table().splitlines()[-1]
    tally.write(tmp_path / "results" / "faults.json")
    body = json.loads((tmp_path / "results" / "faults.json").read_text())
    assert set(body) == {"schema", "machine", "made", "rows"}
    names = {"group", "name", "tried", "survived", "lost", "executed", "seconds", "note"}
    assert [set(one) for one in body["rows"]] == [names]


def test_a_row_stays_when_it_is_interrupted() -> None:
    tally = Tally()

    def stopped() -> None:
        with tally.row("g", "n") as row:
            row.add()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert [one.tried for one in tally.rows] == [1]


@pytest.mark.parametrize("n", [1, 40, 1000, 100_000])
def test_corruptions_touch_every_region_and_the_whole_head(n: int) -> None:
    plan = probe.corruptions(n, 7)
    for kind in ("flip", "cut"):
        places = {at for each, at, _ in plan if each == kind}
        assert places >= set(range(min(n, 256)))
        regions = min(n, 64)
        assert {at * regions // n for at in places} == set(range(regions))
        assert max(places) < n
    assert plan == probe.corruptions(n, 7) != probe.corruptions(n, 8)


def subject(guard: str, read: object) -> Subject:
    return Subject("s", lambda folder: folder / "x", read, guard, (ValueError,))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("guard", "result"), [(CHECKSUM, "!taken for a good file, with other content"), (EVIDENCE, "other")]
)
def test_another_content_is_a_loss_where_the_file_has_a_checksum(
    guard: str, result: str, tmp_path: Path
) -> None:
    assert probe._try(subject(guard, lambda path: 2), tmp_path, digest(1), "corrupt") == result


def test_what_a_reader_may_raise_is_no_loss_and_all_else_is(tmp_path: Path) -> None:
    def fail(problem: BaseException) -> object:
        def read(path: Path) -> None:
            raise problem

        return read

    results = {
        "refused": ValueError("one line"), "!KeyError": KeyError("x"), "!MemoryError": MemoryError(),
        "!message of": ValueError("x" * 10_000), "!RecursionError": RecursionError("deep"),
    }  # fmt: skip
    for want, problem in results.items():
        assert probe._try(subject(EVIDENCE, fail(problem)), tmp_path, "", "hostile").startswith(want)


def test_hostile_files_run_when_a_careless_reader_opens_them(tmp_path: Path) -> None:
    """Else the campaign would find nothing executed whatever the readers do."""
    canary = tmp_path / "canary"
    ran = 0
    for name, data in hostile.pickles(str(canary)):
        if "os.system" not in name and "INST" not in name:
            continue
        code = "import pickle, sys; pickle.loads(sys.stdin.buffer.read())"
        subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=False)
        ran += canary.exists()
        canary.unlink(missing_ok=True)
    assert ran >= 6


def test_values_are_twisted_one_after_the_other() -> None:
    files = dict(twisted(b'{"a": 1, "b": {"c": [2]}}'))
    assert json.loads(files["b.c.0 = null"]) == {"a": 1, "b": {"c": [None]}}
    assert len(files) > 100
    assert not list(twisted(b"\x89PNG"))


def test_the_end_of_a_command_that_could_not_write(tmp_path: Path) -> None:
    log = tmp_path / "out.log"
    for said, code, good in (
        ("error: x: cannot be written (No space left on device)\n", 1, True), ("", 1, False),
        ("Traceback (most recent call last)\nOSError\nerror: x\n", 1, False), ("", 0, True),
        ("error: x\n", None, False),
    ):  # fmt: skip
        log.write_text(said)
        assert (disk_full._one_line(code, tmp_path / "out", may_succeed=True) == "") is good


def test_other_results_and_left_overs_are_losses(tmp_path: Path) -> None:
    work = works.Work("w: sweep", "w", "", [], works.tables)
    (tmp_path / "a.csv").write_text("1")
    want = works.tables(tmp_path)
    assert work.problem(tmp_path, want) == ""
    (tmp_path / "a.csv").write_text("2")
    assert work.problem(tmp_path, want).startswith("other results")
    (tmp_path / "a.csv").write_text("1")
    (tmp_path / ".b.tmp").touch()
    assert work.problem(tmp_path, works.tables(tmp_path)) == "left over: .b.tmp"


def test_a_sweep_must_answer_a_polite_signal_with_its_code() -> None:
    work = works.Work("w: sweep", "w", "", [], works.tables)
    assert kill_tests._judge(work, 143, kill_tests.signal.SIGTERM, "stopped") == ""
    assert "ended with 1" in kill_tests._judge(work, 1, kill_tests.signal.SIGTERM, "stopped")
    assert "still there" in kill_tests._judge(work, None, kill_tests.signal.SIGINT, "")
    assert "a traceback" in kill_tests._judge(work, 143, kill_tests.signal.SIGTERM, "Traceback")


def test_the_command_line(tmp_path: Path) -> None:
    words = [sys.executable, str(CI / "faults"), "--only", "nothing"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "invalid choice" in done.stderr


def test_a_bad_row_shows_few_cases(capsys: pytest.CaptureFixture[str]) -> None:
    row = Row("g", "n")
    for _ in range(10):
        row.add("x")
    assert capsys.readouterr().err.count("lost:") == 3
    assert row.lost == 10


def test_every_reader_is_also_given_pipes_devices_and_the_new_hostile_files(tmp_path: Path) -> None:
    """The campaign's plan has them; a reader that waits or reads on is a loss."""
    (tmp_path / "corpus").mkdir()
    names = {name for name, _ in hostile.every(str(tmp_path / "canary"))}
    for part in (
        "pickle of colliding keys", "pickle of nested torch files", "pickle of a table with itself",
        "tar sparse map", "tar of a hundred thousand", "idx empty and giant",
    ):  # fmt: skip
        assert part in names
    made = Subject("s", lambda folder: _touched(folder / "x"), Path.read_bytes, EVIDENCE, (ValueError,))
    given = [(name, path.stat()) for _, name, path in probe.hostile_cases(made, tmp_path / "work")(0, 99)]
    assert [stat.S_ISFIFO(found.st_mode) for name, found in given if "a pipe" in name] == [True]
    assert [stat.S_ISCHR(found.st_mode) for name, found in given if "/dev/zero" in name] == [True]


def _touched(path: Path) -> Path:
    path.touch()
    return path
