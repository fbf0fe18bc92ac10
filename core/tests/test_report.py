"""From a checkout to its site: papers without runs, dates of records, measurements, the browser."""

import json
import os
import subprocess
import webbrowser
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clrepro.claims import STATUSES
from clrepro.cli.outputs import tables_from
from clrepro.cli.readmes import update_readmes
from clrepro.cli.report import open_page
from clrepro.cli.site import made_when, paper_facts, write_report
from clrepro.errors import DataError
from clrepro.io.atomic import make_folder
from clrepro.packed import pack
from clrepro.records import RunRecord
from clrepro.report.overview import overview_table
from clrepro.report.page import PaperFacts
from clrepro.report.tables import DOUBT, MARKS
from clrepro.sweep import paper_names

DAY = datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp()


def store(folder: Path, seed: int, day: float = DAY, profile: str = "quick") -> Path:
    """Write a record of the fake paper as a sweep or a checkout would have it; returns its path."""
    record = RunRecord(
        paper="fake", profile=profile, setting="walk/6", method="short", seed=seed, command=["main.py"],
        settings={}, settings_hash="0" * 64, metrics={"RA": 0.5 + seed / 100}, cost={"cpu_s": 1.0},
    )  # fmt: skip
    path = folder / "records" / "walk__6" / "short" / f"seed{seed}.json"
    make_folder(path.parent)
    path.write_text(record.to_json())
    os.utime(path, (day, day))
    return path


def git(home: Path, *words: str) -> None:
    moment = "2026-03-09T12:00:00+00:00"
    known = {"GIT_COMMITTER_DATE": moment, "GIT_AUTHOR_DATE": moment, "HOME": str(home)}
    subprocess.run(
        ["git", "-C", str(home), "-c", "user.name=a", "-c", "user.email=a@b", *words],
        check=True, capture_output=True, env={**os.environ, **known},
    )  # fmt: skip


def test_the_facts_of_a_paper_need_no_runs(fake_paper: Any) -> None:
    facts = paper_facts(fake_paper.home, "fake")
    assert (facts.title, facts.notes, facts.readme) == ("fake", (), "")
    offer = facts.offers[0]
    assert (offer.profile, offer.rows, offer.runs, offer.data_note) == ("quick", 2, 4, "ten numbers")
    (fake_paper.folder / "README.md").write_text("## Differences from the original\n\nnone\n")
    (fake_paper.folder / "claims.toml").write_text('title = "Fake"\nmetrics.RA = "retained"\n')
    facts = paper_facts(fake_paper.home, "fake")
    assert (facts.title, dict(facts.metrics)) == ("Fake", {"RA": "retained"})
    assert "Differences" in facts.readme


def test_records_have_the_days_they_were_written(fake_paper: Any, tmp_path: Path) -> None:
    out = tmp_path / "results"
    store(out / "fake" / "quick", 0)
    assert made_when(fake_paper.home, [out]) == {("fake", "quick"): "written 1 May 2026"}
    store(out / "fake" / "quick", 1, DAY + 2 * 86400)
    store(tmp_path / "more" / "fake" / "toy", 0, DAY - 86400, "toy")
    assert made_when(fake_paper.home, [out, tmp_path / "more"]) == {
        ("fake", "quick"): "written 1 May 2026 to 3 May 2026",
        ("fake", "toy"): "written 30 April 2026",
    }


def test_records_of_the_checkout_have_the_day_of_their_commit(fake_paper: Any, tmp_path: Path) -> None:
    shipped = fake_paper.folder / "results" / "quick"
    store(shipped, 0)
    key = ("fake", "quick")
    folders = [tmp_path / "results", shipped / "records"]
    assert made_when(fake_paper.home, folders) == {key: ""}  # no repository: nothing is known
    git(fake_paper.home, "init", "-q")
    git(fake_paper.home, "add", ".")
    git(fake_paper.home, "commit", "-qm", "records")
    assert made_when(fake_paper.home, folders) == {key: "committed 9 March 2026"}
    store(tmp_path / "results" / "fake" / "quick", 1)
    assert made_when(fake_paper.home, folders) == {key: "written 1 May 2026 and committed 9 March 2026"}


def test_packed_records_of_the_checkout_have_the_day_of_their_commit(fake_paper: Any, tmp_path: Path) -> None:
    shipped = fake_paper.folder / "results" / "quick"
    store(shipped, 0)
    pack(shipped)
    key = ("fake", "quick")
    assert made_when(fake_paper.home, [shipped]) == {key: ""}
    git(fake_paper.home, "init", "-q")
    git(fake_paper.home, "add", ".")
    git(fake_paper.home, "commit", "-qm", "records")
    assert made_when(fake_paper.home, [shipped]) == {key: "committed 9 March 2026"}


def test_a_measurement_that_cannot_be_used_is_one_line_and_stops_nothing(
    fake_paper: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results"
    store(out / "fake" / "quick", 0)
    (out / "bench.json").write_text('{"benchmarks": []}')
    faults = {"schema": 1, "machine": {}, "made": "2026-11-21", "rows": []}
    (make_folder(fake_paper.home / "docs" / "measured") / "faults.json").write_text(json.dumps(faults))
    tables, problems = tables_from(fake_paper.home, [out])
    assert problems == []
    start = write_report(fake_paper.home, out, tables, [out])
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"left out: {out / 'bench.json'}: unknown field 'benchmarks'")
    assert "unknown field" in (start.parent / "report" / "bench.html").read_text()
    assert "Measured 21 November 2026" in (start.parent / "report" / "faults.html").read_text()
    assert "<td>walk/6</td>" in (start.parent / "report" / "fake.html").read_text()


def test_a_paper_with_a_broken_file_costs_the_others_nothing(
    fake_paper: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = fake_paper.home / "papers" / "broken"
    broken.mkdir()
    (broken / "profiles.toml").write_text("[quick]\nseeds = 3\n")
    start = write_report(fake_paper.home, tmp_path, [], [tmp_path])
    assert capsys.readouterr().err.startswith(f"left out: {broken / 'profiles.toml'}")
    assert (start.parent / "report" / "fake.html").is_file()
    assert not (start.parent / "report" / "broken.html").exists()


@pytest.mark.parametrize("answer", [True, False, webbrowser.Error("none")])
def test_the_page_is_opened_or_a_line_says_why_not(
    answer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def show(url: str) -> bool:
        asked.append(url)
        if isinstance(answer, Exception):
            raise answer
        return bool(answer)

    monkeypatch.setattr(webbrowser, "open", show)
    open_page(tmp_path / "report.html")
    assert asked == [(tmp_path / "report.html").as_uri()]
    said = capsys.readouterr().err
    assert said == (
        "" if answer is True else f"no browser found here; open {tmp_path / 'report.html'} in one\n"
    )


def test_papers_come_in_the_order_of_their_place(tmp_path: Path) -> None:
    for name, place in (("first", 2), ("second", 1), ("third", None), ("fourth", None)):
        folder = make_folder(tmp_path / "papers" / name)
        (folder / "profiles.toml").write_text("")
        (folder / "claims.toml").write_text("" if place is None else f"place = {place}\n")
    assert paper_names(tmp_path) == ["second", "first", "fourth", "third"]
    facts = [PaperFacts("b", "", {}, place=2), PaperFacts("a", "", {}), PaperFacts("c", "", {}, place=1)]
    assert [one.name for one in sorted(facts, key=lambda one: one.order)] == ["c", "b", "a"]
    assert facts[0].label == "b"


def test_the_page_of_verdicts_explains_every_mark() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "verdicts.md").read_text(encoding="utf-8")
    for status, mark in MARKS.items():
        assert f"| {mark or 'none'} | {STATUSES[status]} |" in page
    assert f"| {DOUBT} |" in page


def test_a_figure_shows_the_methods_by_the_names_that_its_marker_gives(tmp_path: Path) -> None:
    """Of the front page: drawn anew from the committed records it is the committed file."""
    home = Path(__file__).resolve().parents[2]
    tables, _ = tables_from(home, [home / "papers" / "mer" / "results" / "full"])
    (marker,) = [
        line for line in (home / "README.md").read_text().splitlines() if line.startswith("<!-- figure:")
    ]
    (tmp_path / "README.md").write_text(f"{marker}\n")
    make_folder(tmp_path / "docs")
    update_readmes(tmp_path, tables, [])
    drawn = (tmp_path / "docs" / "results.svg").read_text()
    assert [name for name in ("MER", "ER", "GEM") if f">{name}</text>" in drawn] == ["MER", "ER", "GEM"]
    assert drawn == (home / "docs" / "results.svg").read_text()
    (tmp_path / "README.md").write_text(marker.replace("permutations", "nothing") + "\n")
    with pytest.raises(DataError, match="against memory size in nothing"):
        update_readmes(tmp_path, tables, [])


def test_the_overview_counts_cells_and_orderings_of_all_profiles() -> None:
    def section(counts: dict[str, int], orderings: dict[str, int], runs: int, hours: float) -> Any:
        return SimpleNamespace(counts=counts, ordering_counts=orderings, runs=runs, hours=hours)

    sections = (
        section({"reproduced": 2, "differs": 1, "no reference": 9}, {"holds": 3, "fails": 1}, 1200, 2.5),
        section({"consistent": 4}, {"inconclusive": 2, "no runs": 5}, 34, 0.5),
    )
    page: Any = SimpleNamespace(facts=PaperFacts("x", "", {}, label="X"), sections=sections)
    empty: Any = SimpleNamespace(facts=PaperFacts("y", "", {}), sections=())
    lines = overview_table([page, empty]).splitlines()
    assert lines[2:] == ["| [X](papers/x) | 2 | 4 | 0 | 1 | 3 of 6 | 1,234 | 3.0 h |"]
