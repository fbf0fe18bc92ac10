"""The speed bench: verdicts follow the measured ratios; bench.json keeps what other environments wrote."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clrepro.bench import Benchmark, Scaling, measure, run
from clrepro.bench.__main__ import keep, main
from clrepro.bench.rows import Replay


def busy(seconds: float) -> Callable[[], int]:
    """Work of two units that takes so much processor time."""

    def work() -> int:
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass
        return 2

    return work


def test_a_ratio_is_the_rival_s_time_over_ours() -> None:
    benchmark = Benchmark("work", "unit", {"ours": busy(0.01), "peer": busy(0.04)}, promised={"peer": 2.0})
    timing = run(benchmark)
    (row,) = timing.rows("paper")
    assert 0.004 < timing.median("ours") < 0.02
    assert 2 < row["ratio"]["median"] < 8
    assert row["ratio"]["low"] <= row["ratio"]["median"] <= row["ratio"]["high"]
    assert (row["verdict"], row["promised"], row["clock"]) == ("kept", 2.0, "processor")
    assert [way["name"] for way in row["variants"]] == ["ours", "peer"]


@pytest.mark.parametrize(("promised", "verdict"), [({"peer": 50.0}, "missed"), ({}, "none")])
def test_a_promise_can_be_missed_or_absent(promised: dict[str, float], verdict: str) -> None:
    benchmark = Benchmark("w", "u", {"ours": busy(0.002), "peer": busy(0.004)}, promised=promised)
    assert run(benchmark).rows("p")[0]["verdict"] == verdict


def test_without_a_rival_there_is_a_time_and_no_ratio() -> None:
    (row,) = run(Benchmark("w", "u", {"ours": busy(0.001)}, rounds=2)).rows("p")
    assert (row["ratio"], row["verdict"], row["variants"][0]["rounds"]) == (None, "none", 2)


def test_a_growth_has_a_point_per_size_and_side() -> None:
    sides = {"a": lambda n: busy(0.001 * n), "b": lambda n: busy(0.001) if n < 3 else None}
    growth = measure(Scaling("growth", "n", "unit", (1, 4), sides))
    (one, small), (four, large) = growth.points["a"]
    assert (one, four) == (1, 4)
    assert large > 2 * small
    assert [n for n, _ in growth.points["b"]] == [1]
    assert growth.to_json("p")["lines"][1]["x"] == [1.0]


def test_rows_of_other_papers_stay(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"

    def row(paper: str, name: str, value: int) -> dict[str, object]:
        return {"paper": paper, "name": name, "value": value}

    path.write_text("{ not json")
    keep(path, "a", [row("a", "x", 1), row("a", "y", 1)], [], whole=True)
    keep(path, "b", [row("b", "x", 2)], [row("b", "g", 2)], whole=True)
    keep(path, "a", [row("a", "x", 3)], [], whole=False)
    body = json.loads(path.read_text())
    assert body["rows"] == [row("a", "y", 1), row("b", "x", 2), row("a", "x", 3)]
    assert body["scaling"] == [row("b", "g", 2)]
    keep(path, "a", [], [], whole=True)
    assert json.loads(path.read_text())["rows"] == [row("b", "x", 2)]


def test_the_replay_that_is_timed_draws_what_was_stored() -> None:
    replay = Replay(500)
    assert (replay.add(), replay.sample()) == (1000, 2560)


def test_an_unknown_paper_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from clrepro.errors import UsageError

    with pytest.raises(UsageError, match="nothing"):
        main(["nothing", "--out", str(tmp_path)])
