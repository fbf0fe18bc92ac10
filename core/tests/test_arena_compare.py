"""`cl-repro compare` as a user calls it: one's own file, tables and pages, failures, bad input, resuming."""

import csv
import json
from pathlib import Path

import pytest

from clrepro.arena import methods, runs
from clrepro.arena.streams import plan
from clrepro.cli import main
from clrepro.errors import DataError, UsageError
from clrepro.records import load_many

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "own_method.py"
SMALL = ["--tasks", "2", "--examples", "40", "--memory", "20", "--seeds", "2", "--executor", "serial"]
ER_LIKE = """
import numpy as np
class Coin:
    \"\"\"Guesses.\"\"\"
    SPACE = {"bias": (0.0, 1.0, 2.0)}
    def __init__(self, spec, *, seed, bias=0.0):
        self.rng, self.n, self.bias = np.random.default_rng(seed), spec.n_classes, bias
    def observe(self, x, y):
        BODY
    def predict(self, x):
        return np.tile(np.arange(self.n) * (1.0 + self.bias), (len(x), 1))
"""


def no_checkout():
    raise UsageError("no checkout")


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CL_REPRO_PROGRESS_S", "inf")
    monkeypatch.setattr("clrepro.cli.arena_page.find_home", no_checkout)  # as an installed package


def coin(body="pass", name="coin.py"):
    Path(name).write_text(ER_LIKE.replace("BODY", body))
    return f"{name}:Coin"


def compare(*words):
    return main(["compare", *words])


def rows(path="results/arena/quick/digits-rotations_2x40-m20.csv"):
    return {row["method"]: row for row in csv.DictReader(Path(path).read_text().splitlines())}


def test_an_own_file_stands_in_the_table_beside_ours(capsys) -> None:
    assert compare("--method", coin(), "--methods", "fine-tuning", "--stream", "rotations", *SMALL) == 0
    said = capsys.readouterr().out
    assert said.startswith("digits-rotations/2x40-m20: Coin: better than 0, no difference found to 1")
    assert set(rows()) == {"Coin", "fine-tuning"}
    assert rows()["fine-tuning"]["n"] == "2"
    assert "Coin" in Path("results/report/arena.html").read_text()
    assert r"\toprule" in Path("results/arena/quick/digits-rotations_2x40-m20.tex").read_text()


def test_finished_runs_are_not_made_again_and_a_changed_file_is(capsys) -> None:
    words = ["--method", coin(), "--methods", "fine-tuning", "--stream", "rotations", *SMALL]
    compare(*words)
    capsys.readouterr()
    compare(*words)
    assert "4 runs, 4 of them done before" in capsys.readouterr().err
    coin("self.n = self.n")
    compare(*words)
    assert "4 runs, 2 of them done before" in capsys.readouterr().err


def test_new_writes_a_method_that_keeps_the_rules(capsys) -> None:
    assert compare("new", "mine.py") == 0
    assert compare("validate", "mine.py:Mine") == 0
    assert "5 of 5 rules kept" in capsys.readouterr().out
    assert len(Path("mine.py").read_text().splitlines()) <= 42
    assert compare("new", "mine.py") == 2


def test_the_example_keeps_the_rules() -> None:
    assert compare("validate", f"{EXAMPLE}:ClassMeans") == 0


def test_a_method_that_breaks_a_rule_is_told_before_anything_runs(capsys) -> None:
    assert compare("--method", coin("x *= 0"), "--methods", "fine-tuning", *SMALL) == 1
    assert "Coin breaks the rule 'leaves its inputs'" in capsys.readouterr().err
    assert not Path("results/arena/quick").exists()


def test_a_failed_method_stays_a_row_with_its_reason_and_traceback(capsys) -> None:
    """It fails on the larger stream alone, where no rule was tried."""
    body = "self.seen = getattr(self, 'seen', 0) + len(y)\n        assert self.seen < 130, 'too many'"
    words = ["--method", coin(body), "--methods", "fine-tuning", "--stream", "rotations"]
    assert compare(*words, "--tasks", "2", "--examples", "80", "--seeds", "1", "--executor", "serial") == 1
    row = rows("results/arena/quick/digits-rotations_2x80-m100.csv")["Coin"]
    assert (row["n"], row["failures"]) == ("0", "1 failed")
    assert "too many" in row["reason"]
    said = capsys.readouterr()
    assert "AssertionError: too many" in said.err
    assert "Traceback" in said.err
    assert "| Coin |" in said.out


@pytest.mark.parametrize(
    ("body", "budget", "status"),
    [("import time; time.sleep(0.01)", "0.001", "over budget"), ("self.bias = np.inf", "60", "diverged")],
)
def test_a_run_over_budget_or_diverged_stays_a_row(body, budget, status, monkeypatch) -> None:
    monkeypatch.setattr("clrepro.arena.validate.validated", lambda kind, name: None)
    words = ["--method", coin(body), "--methods", "fine-tuning", "--stream", "rotations", "--against", "Coin"]
    compare(*words, "--budget", budget, *SMALL)
    assert rows()["Coin"]["failures"] == f"2 {status}"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--stream", "rots"], "stream 'rots': one of permutations, rotations"),
        (["--methods", "erx"], "method 'erx': one of"),
        (["--method", "none.py:Coin"], "there is no file 'none.py'"),
        (["--method", "coin.py"], "FILE.py:CLASS"),
        (["--method", "coin.py:Cain"], "has no Cain; it has Coin"),
        (["--memory", "0"], "--memory 0: must be 1 or more"),
        (["--stream", "split-class", "--tasks", "11"], "10 classes"),
        (["--methods", "fine-tuning", "--against", "gem", "--dry-run"], "--against 'gem': not among"),
        (["validate", "erx"], "method 'erx': one of"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(words, says, capsys) -> None:
    coin()
    assert compare(*words) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_file_that_fails_when_it_is_imported_is_one_line(capsys) -> None:
    Path("bad.py").write_text("import nothing_of_that_name\n")
    assert compare("--method", "bad.py:Mine") == 1
    assert "bad.py: cannot be imported (ModuleNotFoundError" in capsys.readouterr().err


def test_a_dry_run_names_the_runs_and_runs_nothing(capsys) -> None:
    assert compare("--methods", "fine-tuning,er", "--stream", "rotations", "--dry-run") == 0
    said = capsys.readouterr().out
    assert "arena/quick/digits-rotations/5x500-m100/er/seed2" in said
    assert "6 runs, " in said
    assert not Path("results").exists()


def test_only_the_own_method_runs_where_records_are_shipped(capsys) -> None:
    assert compare("--method", coin(), "--stream", "rotations", "--dry-run") == 0
    said = capsys.readouterr().out
    assert "3 runs" in said
    assert "Coin/seed0" in said
    assert "er/seed0" not in said


def test_the_shipped_records_are_small_and_of_this_protocol() -> None:
    records = runs.shipped()
    assert records
    assert sum(len(record.to_line()) for record in records) <= 1e6
    here = [plan(kind, "quick") for kind in ("permutations", "rotations")]
    runs.check_same([record for record in records if record.profile == "quick"], here)


@pytest.mark.parametrize(
    ("change", "says"), [({"protocol": 0}, "protocol 0, this version has"), ({"stream": {}}, "other sizes")]
)
def test_records_of_another_protocol_or_stream_are_refused(change, says, capsys) -> None:
    assert compare("--methods", "fine-tuning", "--stream", "rotations", *SMALL) in (0, 2)
    record = next(one for one in runs.shipped() if one.profile == "quick")
    object.__setattr__(record, "settings", record.settings | change)
    Path("records.jsonl").write_text(record.to_line() + "\n")
    kind = record.setting.partition("/")[0].removeprefix("digits-")
    capsys.readouterr()
    assert compare("--methods", "er", "--stream", kind, "--records", "records.jsonl") == 1
    assert says in capsys.readouterr().err


def test_records_of_other_streams_are_refused_by_name() -> None:
    with pytest.raises(DataError, match="its stream is not digits-split-task"):
        runs.check_same(runs.shipped()[:1], [plan("split-task", "quick")])


def test_tuning_chooses_the_best_draw_and_says_that_few_are_not_comparable(capsys) -> None:
    words = ["--stream", "rotations", "--method", coin(), "--rule", "first-tasks", "--draws", "3"]
    assert compare("tune", *words, "--jobs", "1") == 0
    assert "3 of 20 draws, not comparable" in capsys.readouterr().out
    choices = json.loads(Path("results/arena/choices.json").read_text())
    choice = choices["digits-rotations/5x500-m100"]["first-tasks"]["Coin"]
    records = load_many(Path("results/arena/trials"))[0]
    assert choice["value"] == max(record.metrics["final_accuracy"] for record in records)
    assert {record.seed for record in records} == {1000}  # in no table
    more = ["--method", coin(), "--methods", "fine-tuning", "--stream", "rotations", "--rows", "all"]
    assert compare(*more, "--executor", "serial") == 0
    out = capsys.readouterr()
    assert "| Coin+first-tasks |" in out.out
    assert "Coin+first-tasks: 3 of 20 draws, not comparable" in out.err


def test_cells_of_the_committed_tables_come_out_the_same(capsys) -> None:
    assert compare("check", "--pick", "0", "--cells", "1", "--profile", "quick") == 0
    assert ": equal" in capsys.readouterr().out


def test_a_cell_that_differs_is_said_to(monkeypatch, capsys) -> None:
    record = next(r for r in runs.shipped() if r.method == "fine-tuning")
    record.metrics["final_accuracy"] += 1e-6
    monkeypatch.setattr("clrepro.cli.compare_actions.committed", lambda: [record])
    assert compare("check") == 1
    assert "DIFFERS: final_accuracy" in capsys.readouterr().out


def test_ls_names_methods_and_streams(capsys) -> None:
    assert compare("ls") == 0
    said = capsys.readouterr().out
    assert "split-class" in said
    assert all(f"  {name} " in said for name in methods.known())


def test_a_package_offers_methods_by_an_entry_point(monkeypatch) -> None:
    class Point:
        name, value, dist = "theirs", "theirs:Theirs", None

        @staticmethod
        def load():
            return methods.from_file(coin()).kind

    points = {methods.GROUP: [Point]}
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points.get(group, []))
    assert methods.find("theirs").kind.__name__ == "Coin"


@pytest.mark.slow
def test_the_quick_arena_with_a_method_of_ones_own() -> None:
    compare("new", "mine.py")
    assert compare("--method", "mine.py:Mine", "--fresh", "--jobs", "2") == 0
    for kind in ("permutations", "rotations"):
        table = rows(f"results/arena/quick/digits-{kind}_5x500-m100.csv")
        assert table["Mine"]["n"] == "3"
        assert len(table) >= 13
