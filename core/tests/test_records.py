"""Records: what goes in comes out, bytes are canonical, and nothing wrong is ever read as a record."""

import json
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clrepro.errors import DataError
from clrepro.records import RunRecord, load_many, plain, read_record, record_path


def make(**changes: Any) -> RunRecord:
    body: dict[str, Any] = {
        "paper": "mer",
        "profile": "quick",
        "setting": "rotations/200",
        "method": "meralg1",
        "seed": 1,
        "command": ["main.py", "--seed", "1"],
        "settings": {"lr": 0.03, "eval": "tasks", "layers": [100, 100], "cuda": False, "note": None},
        "settings_hash": "ab12",
        "metrics": {"RA": 0.71, "FWT": math.nan},
        "series": {"R": np.array([[0.5, math.nan], [math.inf, 0.25]]), "seen": np.arange(3)},
        "data": {"mnist_quick": {"images": "00ff"}},
        "versions": {"numpy": "2"},
        "origin": {"commit": "0" * 40, "dirty": "no"},
        "cost": {"train_s": 1.5},
    }
    return RunRecord(**{**body, **changes})


def test_round_trip_keeps_values_and_bytes() -> None:
    record = make()
    text = record.to_json()
    again = RunRecord.from_json(text)
    assert again.to_json() == text
    assert again.metrics["RA"] == 0.71
    assert math.isnan(again.metrics["FWT"])
    np.testing.assert_array_equal(again.series["R"], [[0.5, math.nan], [math.inf, 0.25]])
    assert again.series["seen"] == [0, 1, 2]
    assert "NaN" not in text
    assert "Infinity" not in text


def test_bytes_do_not_depend_on_the_order_of_insertion() -> None:
    assert make(metrics={"a": 1.0, "b": 2.0}).to_json() == make(metrics={"b": 2.0, "a": 1.0}).to_json()


def test_comparable_ignores_cost_and_host_and_nothing_else() -> None:
    record = make()
    other = make(cost={"train_s": 9.0}, versions={"numpy": "3"}, origin={"commit": "1" * 40})
    assert other.comparable() == record.comparable()
    kept = {f.name for f in fields(RunRecord)} - {"cost", "versions", "origin"}
    assert set(record.comparable()) == kept
    assert make(metrics={"RA": 0.72}).comparable() != record.comparable()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", -1),
        ("seed", True),
        ("seed", "1"),
        ("schema", 2),
        ("status", "maybe"),
        ("command", "main.py"),
        ("command", [1]),
        ("metrics", {"RA": "high"}),
        ("metrics", {"RA": [0.5]}),
        ("metrics", {"RA": 10**400}),
        ("metrics", [0.5]),
        ("series", {"R": 0.5}),
        ("series", {"R": [["x"]]}),
        ("settings", {"x": math.nan}),
        ("settings", {"x": object()}),
        ("settings", {1: 2}),
        ("versions", {"numpy": 2}),
        ("origin", {"threads": 1}),
        ("cost", {"train_s": True}),
        ("method", "../escape"),
        ("setting", "a//b"),
        ("setting", "a__b"),
        ("paper", "a/b"),
        ("profile", ""),
    ],
)
def test_a_wrong_field_is_named(field: str, value: object) -> None:
    with pytest.raises(DataError, match=field):
        make(**{field: value})


@pytest.mark.parametrize("name", [f.name for f in fields(RunRecord) if f.name != "origin"])
def test_a_missing_field_is_named_with_its_file(name: str) -> None:
    body = json.loads(make().to_json())
    del body[name]
    with pytest.raises(DataError, match=rf"seed1\.json.*'{name}'"):
        RunRecord.from_json(json.dumps(body), "seed1.json")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"a": 1, "a": 2}',
        "NaN",
        '{"metrics": NaN}',
        "[" * 100_000,
        '{"x": 1',
        "\x00",
        '{"u": 1}',
    ],
)
def test_other_text_is_refused_with_the_file_name(text: str) -> None:
    with pytest.raises(DataError, match="some/file"):
        RunRecord.from_json(text, "some/file")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_text_is_refused_or_still_a_valid_record(data: st.DataObject) -> None:
    raw = bytearray(make().to_json().encode())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    try:
        text = bytes(raw[:cut]).decode()
        record = RunRecord.from_json(text, "f")
    except (DataError, UnicodeDecodeError):
        return
    assert RunRecord.from_json(record.to_json()).to_json() == record.to_json()


def test_paths_keep_settings_apart_and_load_many_survives_bad_files(tmp_path: Path) -> None:
    good = [
        make(seed=seed, setting=setting) for setting in ("rotations/200", "rotations/500") for seed in (0, 1)
    ]
    for record in good:
        path = record.path(tmp_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(record.to_json())
    folder = record_path(tmp_path, "mer", "quick", "rotations/200", "meralg1", 0).parent
    assert folder == tmp_path / "mer/quick/records/rotations__200/meralg1"
    (folder / "seed7.json").write_text(good[0].to_json()[:100])
    (folder / "seed8.json").write_bytes(b"\xff\xfe")
    (folder / "seed9.json").mkdir()
    (folder / "notes.txt").write_text("not a record")
    (tmp_path / "mer/quick/work/job").mkdir(parents=True)
    (tmp_path / "mer/quick/work/job/seed0.json").write_text("a program's own file")
    records, problems = load_many(tmp_path)
    assert [r.key for r in records] == [r.key for r in good]
    assert [line.split(":")[0].rsplit("/", 1)[1] for line in problems] == [
        "seed7.json",
        "seed8.json",
        "seed9.json",
    ]
    assert load_many(tmp_path / "nowhere") == ([], [])


def test_a_file_too_large_to_be_a_record_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "seed0.json"
    with path.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(DataError, match="expected at most"):
        read_record(path)


def test_plain_turns_numpy_into_json_types() -> None:
    value = plain({"a": np.float32(0.5), "b": (np.int64(3), np.bool_(True)), "c": np.zeros((2, 1), np.uint8)})
    assert value == {"a": 0.5, "b": [3, True], "c": [[0], [0]]}
    assert type(value["b"][1]) is bool


def test_records_are_frozen() -> None:
    with pytest.raises(AttributeError):
        make().seed = 3  # type: ignore[misc]
    assert replace(make(), seed=3).seed == 3


def test_records_of_older_versions_say_nothing_of_their_code_and_keep_their_bytes() -> None:
    old = make(origin={})
    assert "origin" not in json.loads(old.to_json())
    assert RunRecord.from_json(old.to_json()).to_json() == old.to_json()
