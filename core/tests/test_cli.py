"""The command line: argument types, one line per error and its exit code, each command from end to end."""

import argparse
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clrepro import arguments, cli, exit_codes
from clrepro.cli.list import duration
from clrepro.errors import BusyError, DataError, UsageError
from clrepro.records import load_many


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (arguments.yes_no, "yes", True),
        (arguments.yes_no, "no", False),
        (arguments.true_false, "True", True),
        (arguments.true_false, "false", False),
        (arguments.choice("a", "b"), "b", "b"),
        (arguments.integer, "-3", -3),
        (arguments.positive_int, "1", 1),
        (arguments.non_negative_int, "0", 0),
        (arguments.finite_float, "-1e-3", -0.001),
        (arguments.positive_float, ".03", 0.03),
        (arguments.non_negative_float, "0", 0.0),
        (arguments.existing_dir, "/", Path("/")),
    ],
)
def test_argument_types_read(read: Callable[[str], object], text: str, value: object) -> None:
    assert read(text) == value
    assert type(read(text)) is type(value)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (arguments.yes_no, "Yes"),
        (arguments.yes_no, "true"),
        (arguments.yes_no, ""),
        (arguments.true_false, "yes"),
        (arguments.choice("a"), "A"),
        (arguments.integer, "1.0"),
        (arguments.positive_int, "0"),
        (arguments.positive_int, "-1"),
        (arguments.non_negative_int, "-1"),
        (arguments.non_negative_int, "1" * 5000),
        (arguments.finite_float, "nan"),
        (arguments.finite_float, "inf"),
        (arguments.finite_float, "1e999"),
        (arguments.finite_float, "x"),
        (arguments.positive_float, "0"),
        (arguments.non_negative_float, "-0.1"),
        (arguments.existing_dir, "/no/such/folder"),
        (arguments.existing_file, "/"),
    ],
)
def test_argument_types_refuse(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        read(text)


@pytest.mark.parametrize(("kind", "code"), [(UsageError, 2), (DataError, 1), (BusyError, 1)])
def test_known_errors_are_one_line(
    kind: type[Exception], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> int:
        raise kind("what\nwas given")

    assert exit_codes.guarded(fail) == code
    assert capsys.readouterr().err == "error: what was given\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [["list"], ["data", "--help"]])
def test_a_full_standard_output_is_one_line(words: list[str], unbuffered: str, fake_paper: Any) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "clrepro.cli", *words], stdout=full, stderr=subprocess.PIPE, text=True,
            env={**fake_paper.environment(), "PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
    assert done.returncode == 1
    reason = "standard output: cannot be written (No space left on device)"
    assert done.stderr == f"error: {reason}; files finished before are kept\n"


def test_our_own_bugs_keep_their_traceback() -> None:
    with pytest.raises(OSError, match="a bug of ours"):
        exit_codes.guarded(lambda: (_ for _ in ()).throw(OSError("a bug of ours")))
    with pytest.raises(ZeroDivisionError):
        exit_codes.guarded(lambda: 1 // 0)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "nonsense",
        "reproduce",
        "reproduce fake --seeds 0",
        "reproduce fake --jobs two",
        "reproduce fake --executor ray",
        "reproduce fake --data_dir /no/such/folder",
        "reproduce nowhere",
        "reproduce fake --profile huge",
        "reproduce fake --only zzz*",
        "report --records /no/such/folder",
        "check nowhere",
        "data get nothing",
        "doctor --strange",
    ],
)
def test_usage_errors_are_one_line_and_code_2(
    words: str, fake_paper: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = cli.main(words.split())
    except SystemExit as stop:
        code = int(stop.code or 0)
    said = capsys.readouterr()
    assert code == 2
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs `cl-repro WORDS` in this process, without figures; gives what a child process would."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        capsys.readouterr()
        code = cli.main(words)
        return subprocess.CompletedProcess(words, code, *capsys.readouterr())

    return run


def test_help_needs_no_heavy_import() -> None:
    program = "import sys, clrepro.cli as c; c.make_parser(); assert not {'numpy', 'rich'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_reproduce_from_end_to_end(fake_paper: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("reproduce", "fake", "--out", str(out))
    done = fake_paper.cli(*words, "--only", "*/short", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    assert "2 runs, 0 of them done before" in done.stderr
    assert "[2/2 runs]" in done.stderr
    done = fake_paper.cli(*words, "--seeds", "3")
    assert "6 runs, 2 of them done before" in done.stderr
    assert "longer" in done.stdout
    assert "short" in done.stdout
    records, problems = load_many(out)
    assert (len(records), problems) == (6, [])
    folder = out / "fake" / "quick"
    assert "RA" in (folder / "table.md").read_text()
    assert "RA" in (folder / "table.csv").read_text()
    assert "longer" in (out / "report" / "fake.html").read_text()
    assert "report/index.html" in (out / "report.html").read_text()
    serial = fake_paper.cli("reproduce", "all", "--out", str(tmp_path / "serial"), "--executor", "serial")
    assert serial.returncode == 0, serial.stderr
    assert [r.comparable() for r in load_many(tmp_path / "serial")[0]] == [
        r.comparable() for r in records if r.seed < 2
    ]


def test_a_failed_run_makes_the_exit_code_1_and_is_tried_again(fake_paper: Any, tmp_path: Path) -> None:
    fake_paper.add_profile("bad", [("broken", "--fault raise"), ("fine", "")])
    words = ("reproduce", "fake", "--profile", "bad", "--out", str(tmp_path))
    for n_before in (0, 1):
        done = fake_paper.cli(*words)
        assert done.returncode == 1
        assert f"{n_before} of them done before" in done.stderr
        assert "failed: s/broken/seed0: ValueError: two lines" in done.stderr
        assert "Traceback" not in done.stderr
        assert "fine" in done.stdout


@pytest.mark.parametrize("place", ["out", "out/fake", "out/fake/quick/records", "out/fake/quick/data"])
def test_an_unusable_output_folder(place: str, fake_paper: Any, tmp_path: Path) -> None:
    """A file where a folder is expected fails as a read-only folder does, even for root."""
    blocked = tmp_path / place
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("")
    done = fake_paper.cli("reproduce", "fake", "--out", str(tmp_path / "out"))
    assert done.returncode == 1
    assert str(blocked) in done.stderr
    assert "Traceback" not in done.stderr
    if place != "out/fake/quick/records":  # there each run says so
        assert done.stderr.count("\n") == 1


def full_disk(path: Path) -> bool:
    """Mount a file system of 64 kB on `path`, if this process may."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_full_disk_is_one_line_and_loses_no_record(fake_paper: Any, tmp_path: Path) -> None:
    out = tmp_path / "small"
    if not full_disk(out):
        pytest.skip("may not mount a small file system here")
    try:
        done = fake_paper.cli("reproduce", "fake", "--out", str(out), "--only", "*/short", "--jobs", "1")
        kept = len(load_many(out)[0])
        (out / "filler").write_bytes(b"x" * 60_000) if kept == 0 else None
        with open(out / "filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"x" * 1024)
            except OSError:
                pass
        done = fake_paper.cli("reproduce", "fake", "--out", str(out), "--jobs", "1")
        assert done.returncode == 1
        assert "No space left" in done.stderr
        assert "Traceback" not in done.stderr
        records, problems = load_many(out)
        assert not problems
        assert len([record for record in records if record.status == "done"]) >= kept
    finally:
        subprocess.run(["umount", str(out)], check=True)


def test_check_passes_updates_and_notices(fake_paper: Any, here: Any, tmp_path: Path) -> None:
    words = ("check", "fake", "--out", str(tmp_path))
    assert fake_paper.cli("reproduce", "fake", "--out", str(tmp_path)).returncode == 0
    first = here(*words)
    assert first.returncode == 1
    assert "--update" in first.stderr
    updated = here(*words, "--update")
    assert updated.returncode == 0, updated.stderr
    assert "4 runs are the new baseline" in updated.stdout
    passed = here(*words)
    assert (passed.returncode, passed.stdout) == (0, "fake: pass (6 equal)\n")

    profile, packed = tmp_path / "fake/quick", tmp_path / "packed/fake/quick"
    packed.mkdir(parents=True)
    assert here("records", "pack", str(packed), "--from", str(profile)).returncode == 0
    assert here("check", "fake", "--out", str(tmp_path / "packed")).stdout == "fake: pass (6 equal)\n"

    program = fake_paper.folder / "src/fake_repro/cli.py"
    program.write_text(program.read_text().replace("0.02)", "0.03)"))
    other = ("--out", str(tmp_path / "other"))
    assert fake_paper.cli("reproduce", "fake", *other).returncode == 0
    changed = here("check", "fake", *other)
    assert changed.returncode in (
        0,
        1,
    )  # two seeds decide little, but the difference is shown with its p value
    assert "walk/6/short RA" in changed.stdout
    assert "p =" in changed.stdout

    record = next((tmp_path / "fake/quick/records").rglob("seed1.json"))
    record.write_text(record.read_text()[:50])
    missing = here(*words)
    assert missing.returncode == 1
    assert "seed1.json" in missing.stdout
    refused = here(*words, "--update")
    assert refused.returncode == 1
    assert "baseline not changed" in refused.stderr


def test_list_data_and_doctor(fake_paper: Any, here: Any, tmp_path: Path) -> None:
    listed = here("list")
    assert listed.returncode == 0
    assert "ten numbers" in listed.stdout
    assert "1 s" in listed.stdout
    data = here("data", "--data_dir", str(tmp_path))
    assert data.returncode == 0
    assert "found    mnist_quick" in data.stdout
    assert "missing  mnist " in data.stdout
    doctor = here("doctor", "--out", str(tmp_path / "new"))
    assert doctor.returncode == 0
    assert "ok    python" in doctor.stdout
    assert "papers in" in doctor.stdout
    assert all(line.startswith(("ok ", "warn ")) for line in doctor.stdout.splitlines()[:-1])
    assert not (tmp_path / "new").exists()


def test_a_damaged_data_file_is_noticed(fake_paper: Any, here: Any, tmp_path: Path) -> None:
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / f"{name}-ubyte.gz").write_bytes(b"not gzip")
    data = here("data", "--data_dir", str(tmp_path))
    assert data.returncode == 1
    assert "damaged  mnist" in data.stdout


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.3, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (9000, "2.5 h"), (6.1e7, "16,944 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_report_merges_folders_fills_readmes_and_names_bad_files(
    fake_paper: Any, here: Any, tmp_path: Path
) -> None:
    empty = here("report", "--out", str(tmp_path / "none"))
    assert (empty.returncode, empty.stderr.count("\n")) == (1, 1)
    assert "no finished run below" in empty.stderr
    out, other = tmp_path / "out", tmp_path / "other"
    for folder, only in ((out, "*/short"), (other, "*")):
        fake_paper.cli("reproduce", "fake", "--out", str(folder), "--only", only, "--executor", "serial")
    bad = next(other.rglob("records/walk__6/longer/seed1.json"))
    bad.write_text("{")
    block = "<!-- results:fake-quick -->\nold\n<!-- /results:fake-quick -->"
    (fake_paper.home / "README.md").write_text(f"# Fake\n\n{block}\n\nThe end.\n")
    (fake_paper.folder / "README.md").write_text("no markers\n")
    words = ("report", "--out", str(out), "--records", str(other), "--update-readmes")
    done = here(*words)
    assert done.returncode == 0, done.stderr
    assert f"left out: {bad}" in done.stderr
    readme = (fake_paper.home / "README.md").read_text()
    assert readme.startswith("# Fake\n\n<!-- results:fake-quick -->\n| setting")
    assert readme.endswith("<!-- /results:fake-quick -->\n\nThe end.\n")
    lines = [line for line in readme.splitlines() if line.startswith("| walk/6")]
    assert [line.split(" | ")[1:3] for line in lines] == [["short", "2"], ["longer", "1"]]
    assert (out / "fake/quick/table.md").read_text().splitlines()[2] == lines[0]
    assert (fake_paper.folder / "README.md").read_text() == "no markers\n"
    assert "longer" in (out / "report" / "fake.html").read_text()
    again = here(*words)
    assert "README" not in again.stdout  # nothing left to change
    some = "<!-- results:fake-quick */short -->\n<!-- /results:fake-quick -->"
    (fake_paper.folder / "README.md").write_text(
        f"{some}\n<!-- results:overview -->\n<!-- /results:overview -->\n"
    )
    (fake_paper.folder / "results" / "quick").mkdir(parents=True)
    assert here(*words).returncode == 0
    headline = (fake_paper.folder / "README.md").read_text()
    assert "| short | 2 |" in headline
    assert "| longer |" not in headline
    assert "All 2 rows, orderings and notes: [results/quick/table.md](results/quick/table.md)." in headline
    assert re.search(r"\| \[\w+\]\(papers/fake\) \| \d", headline)
    assert (fake_paper.folder / "results/quick/table.md").read_bytes() == (
        out / "fake/quick/table.md"
    ).read_bytes()
    (fake_paper.folder / "README.md").write_text(some.replace("*/short", "*/none"))
    nowhere = here(*words)
    assert (nowhere.returncode, nowhere.stderr.count("matches no row")) == (1, 1)
    (fake_paper.folder / "README.md").write_text("no markers\n")
    (fake_paper.home / "README.md").write_text(block.replace("/results", "results"))
    broken = here(*words)
    assert broken.returncode == 1
    assert "README.md" in broken.stderr
