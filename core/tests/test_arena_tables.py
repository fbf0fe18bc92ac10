"""The committed tables are what their records say, and the package ships those records."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from clrepro.arena import runs
from clrepro.arena.choices import known_choices, read_choices
from clrepro.arena.tuning import SEED, K
from clrepro.records import read_packed
from clrepro.report.arena_table import stream_table

ROOT = Path(__file__).resolve().parents[2]
PACKED = sorted(path for path in (ROOT / "arena").glob("*/records.jsonl"))
TABLES = [path for path in PACKED if path.parent.name != "trials"]


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.parent.name)
def test_each_table_is_that_of_its_records(path) -> None:
    records, problems = read_packed(path)
    assert not problems
    for stream in {record.setting for record in records}:
        table, stem = stream_table(stream, records, "er"), path.parent / stream.replace("/", "_")
        for suffix, text in (("md", table.markdown()), ("csv", table.csv()), ("tex", table.latex())):
            assert stem.with_name(f"{stem.name}.{suffix}").read_text() == text


def test_the_package_ships_all_of_them_without_matrices() -> None:
    every = [record for path in TABLES for record in read_packed(path)[0]]
    assert runs.shipped() == [replace(record, series={}, data={}) for record in every]


def test_seeds_of_tables_and_choices_are_disjoint_and_choices_are_of_k_draws() -> None:
    seeds = {record.seed for path in TABLES for record in read_packed(path)[0]}
    assert SEED not in seeds
    choices = known_choices(Path("nowhere"))
    assert choices == read_choices(ROOT / "arena" / "choices.json")
    trials = [record for path in PACKED if path not in TABLES for record in read_packed(path)[0]]
    assert {record.seed for record in trials} <= {SEED}
    for rules in choices.values():
        for methods in rules.values():
            for choice in methods.values():
                assert choice.drawn == K
                assert any(record.settings.get("options") == choice.options for record in trials)


def test_the_tool_that_makes_them_says_how_much_it_ships(monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "core" / "tools"))
    import arena_tables

    (tmp_path / "arena" / "quick").mkdir(parents=True)
    (tmp_path / "package").mkdir()
    source = next(path for path in TABLES if path.parent.name == "quick")
    (tmp_path / "arena" / "quick" / "records.jsonl").write_bytes(source.read_bytes())
    monkeypatch.setattr(arena_tables, "ROOT", tmp_path)
    monkeypatch.setattr(arena_tables, "PACKAGE", tmp_path / "package")
    assert arena_tables.main() == 0
    assert (tmp_path / "package" / "baselines.jsonl").stat().st_size < 10**6
    assert "bytes shipped" in capsys.readouterr().out
    monkeypatch.setattr(arena_tables, "MOST_BYTES", 10)
    assert arena_tables.main() == 1
    sys.modules.pop("arena_tables")
