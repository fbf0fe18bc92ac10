"""Names that come from files neither steer a terminal nor break a table; closed outputs are a line."""

import csv
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clrepro import program
from clrepro.cli import main
from clrepro.errors import DataError
from clrepro.exit_codes import guarded
from clrepro.io.terminal_text import visible
from clrepro.records import RunRecord
from clrepro.report.tables import CSV_COLUMNS

EVIL = "\x1b[2J\x1b]0;gone\x07\u202etxt.exe\u2066\x9b31m\u2028\udcff"
STEERS = set("\x1b\x07\u202e\u2066\x9b\u2028\udcff\r")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Größe 3 × 4 − ʳ\u00a0é", "Größe 3 × 4 − ʳ\u00a0é"),
        ("a\nb\t\x1b[0m", "a\\nb\\t\\x1b[0m"),
        ("\u202eabc\u200f", "\\u202eabc\\u200f"),
        ("\udcff", "\\udcff"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_steers_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible("a\nb", keep="\n") == "a\nb"


def write(out: Path, metric: str, seed: int = 0) -> Path:
    words = {"command": ["main.py", "--seed", "0"], "settings": {}, "settings_hash": "0" * 64}
    record = RunRecord("fake", "quick", "walk/6", "m", seed, metrics={metric: 0.5}, **words)  # type: ignore[arg-type]
    path = record.path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(record.to_json())
    return path


@pytest.mark.parametrize(
    "metric", ["a|b", "<script>", "[x](y)", "`x`", "\x1b[31m", "a\nb", "=1+1", "\u202eRA", '"q",']
)
def test_metric_names_are_escaped_in_tables(metric: str, fake_paper: Any, tmp_path: Path) -> None:
    write(tmp_path, metric)
    assert main(["report", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "fake/quick/table.md").read_text()
    head, rule, row = text.splitlines()[:3]
    assert head.replace("\\|", "").count("|") == rule.count("|") == row.count("|")
    assert not STEERS & set(text)
    assert not any(mark in head.replace("\\<", "").replace("\\[", "").replace("\\`", "") for mark in "<[`")
    table = (tmp_path / "fake/quick/table.csv").read_text()
    lines = list(csv.reader(io.StringIO(table)))
    assert [len(line) for line in lines] == [len(CSV_COLUMNS)] * 2
    assert not STEERS & set(table)
    assert lines[1][CSV_COLUMNS.index("metric")][0] not in "=+-@"


def test_names_of_files_in_every_command(fake_paper: Any, tmp_path: Path) -> None:
    evil = tmp_path / EVIL.replace("\udcff", "").replace("/", "")
    path = write(evil, "RA")
    path.with_name("seed1\x1b[2J.json").write_text("{")
    for words in (
        ["report", "--out", str(evil)],
        ["reproduce", "fake", "--out", str(evil), "--executor", "serial"],
        ["check", "fake", "--out", str(evil)],
        ["data", "--data_dir", str(evil)],
        ["doctor", "--out", str(evil)],
        ["sweep", str(evil / "none.toml")],
        ["list", str(evil)],
        ["reproduce", EVIL],
    ):
        done = fake_paper.cli(*words)
        assert not STEERS & set(done.stdout + done.stderr), words


def test_what_a_papers_program_prints_and_raises(capsys: pytest.CaptureFixture[str]) -> None:
    def run(argv: Any) -> None:
        print(f"method {EVIL}\tdone")
        print(f"note {EVIL}", file=sys.stderr)
        sys.stdout.writelines([EVIL, "\n"])
        raise DataError(f"{EVIL}: damaged")

    assert program.exit_code(run, [], paper="fake", packages=()) == 1
    out, err = capsys.readouterr()
    assert not STEERS & set(out + err)
    assert "\tdone\n" in out
    assert err.count("\n") == 2


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&-"])
@pytest.mark.parametrize(
    "words", ["list", "data", "doctor", "reproduce fake --executor serial", "nonsense", "--help"]
)
def test_closed_outputs(closed: str, words: str, fake_paper: Any, tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -m clrepro.cli {words} {closed}'],
        env=fake_paper.environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr + done.stdout
    assert "Exception ignored" not in done.stderr
    if closed == ">&-":
        assert done.returncode == 1
        assert done.stderr == "error: standard output: is closed; send it to a file or /dev/null\n"
        assert not (tmp_path / "results").exists()
    if closed == "2>&-":
        assert "error" not in done.stdout


def test_an_error_that_names_no_file_is_still_ours_to_see() -> None:
    def fail() -> int:
        raise OSError("a mistake of ours")

    with pytest.raises(OSError, match="a mistake of ours"):
        guarded(fail)
