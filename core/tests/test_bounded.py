"""Numbers that ask for more work than any machine does are refused in one line, at once, in little memory."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clrepro.errors import DataError, UsageError
from clrepro.records import check_name
from clrepro.sweep import expand, load_profile, load_spec
from clrepro.sweep.profiles import MAX_RUNS

MEMORY = 200 * 2**20
SECONDS = 1.0

ROW = """
[[row]]
paper = "fake"
setting = "walk/{a}-{b}"
method = "m{c}"
command = "main.py --model m --data_path {data}/ --save_path {artefacts}/ --seed {seed}"
grid = { a = NUMBERS, b = NUMBERS, c = NUMBERS }
"""
BORROWED = '[[profile]]\npaper = "fake"\nprofile = "quick"\nseeds = SEEDS\n'


def grid(n: int) -> str:
    numbers = str(list(range(n)))
    return 'name = "x"\n' + ROW.replace("NUMBERS", numbers)


SPECS = {
    "seeds": BORROWED.replace("SEEDS", str(10**12)),
    "seeds of 60 digits": BORROWED.replace("SEEDS", "9" * 60),
    "grid of 10^8 points": grid(465),
    "two grids": grid(40) + ROW.replace("NUMBERS", str(list(range(40)))).replace("walk", "run"),
    "seeds and grid": "seeds = " + str(list(range(1000))) + "\n" + grid(10),
    "several parts": "".join(
        BORROWED.replace("SEEDS", "40000").replace("quick", name) for name in ("quick", "two")
    ),
}


@pytest.mark.parametrize("words", [["reproduce", "fake", "--seeds", "9" * 17], *([name] for name in SPECS)])
def test_it_is_refused_in_a_line_within_a_second_and_200_mb(
    words: list[str], fake_paper: Any, tmp_path: Path
) -> None:
    fake_paper.add_profile("two", [("m", ""), ("n", "")])
    if words[0] in SPECS:
        (tmp_path / "s.toml").write_text(SPECS[words[0]])
        words = ["sweep", str(tmp_path / "s.toml")]
    code = (
        "import sys, time; import clrepro.cli.sweep, clrepro.cli.reproduce\n"
        "from clrepro.cli import main; began = time.process_time(); code = main(sys.argv[1:])\n"
        # Not getrusage: its peak is that of the process that forked this one, if it was larger.
        "peak = [line for line in open('/proc/self/status') if line.startswith('VmHWM')][0].split()[1]\n"
        "print(time.process_time() - began, peak, code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env=fake_paper.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    seconds, kilobytes, exit_code = done.stdout.split()
    assert exit_code in ("1", "2")
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert float(seconds) < SECONDS
    assert int(kilobytes) * 1024 < MEMORY


def test_the_most_that_is_allowed_is_made(fake_paper: Any, tmp_path: Path) -> None:
    profile = load_profile(fake_paper.home, "fake", "quick")
    assert len(expand(profile, MAX_RUNS // len(profile.rows))) == MAX_RUNS
    with pytest.raises(UsageError, match="at most 100,000"):
        expand(profile, MAX_RUNS)
    (tmp_path / "s.toml").write_text(grid(10))
    assert len(load_spec(tmp_path / "s.toml", fake_paper.home).parts[0].profile.rows) == 1000


def test_workers_are_bounded(fake_paper: Any) -> None:
    done = fake_paper.cli("reproduce", "fake", "--jobs", "100000")
    assert done.returncode == 2
    assert "at most 1000" in done.stderr


def test_names_that_no_file_can_have_are_refused(fake_paper: Any, tmp_path: Path) -> None:
    assert check_name("x" * 100, "name") == "x" * 100
    for name in ("x" * 101, "/".join(["x" * 40] * 3)):
        with pytest.raises(DataError, match="at most 100"):
            check_name(name, "setting")
    long = tmp_path / ("y" * 300)
    for words in (["report", "--out"], ["check", "fake", "--out"], ["reproduce", "fake", "--out"]):
        done = fake_paper.cli(*words, str(long))
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "File name too long" in done.stderr
    done = fake_paper.cli("sweep", str(long))
    assert done.returncode == 2
    assert "File name too long" in done.stderr
