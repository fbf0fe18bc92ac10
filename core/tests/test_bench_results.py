"""bench.json and faults.json: what is good is read whole, anything else is refused in one line."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clrepro.errors import DataError
from clrepro.report.bench_results import read_bench, read_faults

BENCH = {
    "schema": 1,
    "machine": {"cpu": "some", "python": "3.11.7"},
    "made": "2026-11-21T17:00:00+00:00",
    "rows": [
        {
            "paper": "mer",
            "name": "inner loop",
            "unit": "s per step", "target": "≥ 10×", "clock": "processor",
            "variants": [{"name": "ours", "median": 1e-6, "low": 9e-7, "high": 2e-6, "rounds": 5}],
            "ratio": {"of": "theirs", "to": "ours", "median": 12.0, "low": 11, "high": 14.5},
            "promised": 10,
            "verdict": "kept",
        },
    ],
    "scaling": [
        {
            "paper": "mer", "name": "memory", "x_label": "slots", "y_label": "s", "log": True,
            "lines": [{"name": "ours", "x": [1, 10], "y": [0.5, 0.75]}],
        },
    ],
}  # fmt: skip
FAULTS = {
    "schema": 1,
    "machine": {},
    "made": "2026-11-21",
    "rows": [
        {
            "group": "kill", "name": "kill -9", "tried": 200, "survived": 200, "lost": 0, "executed": 0,
            "seconds": 12.5, "note": "",
        },
    ],
}  # fmt: skip
READERS = {"bench": (read_bench, BENCH), "faults": (read_faults, FAULTS)}


def stored(tmp_path, body):
    path = tmp_path / "file.json"
    path.write_text(body if isinstance(body, str) else json.dumps(body))
    return path


def changed(body, place, value):
    """The body with one value replaced, or removed if `value` is None.  Args: place — keys from the top."""
    body = copy.deepcopy(body)
    *way, last = place
    inner = body
    for key in way:
        inner = inner[key]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return body


def test_a_good_bench_is_read_whole(tmp_path):
    bench = read_bench(stored(tmp_path, BENCH))
    row = bench.rows[0]
    assert (row.paper, row.promised, row.verdict, row.variants[0].rounds) == ("mer", 10.0, "kept", 5)
    assert (row.ratio.of, row.ratio.to, row.ratio.median) == ("theirs", "ours", 12.0)
    assert bench.scaling[0].lines[0].y == (0.5, 0.75)
    nothing = changed(changed(BENCH, ("rows", 0, "promised"), None), ("rows", 0, "verdict"), "none")
    assert read_bench(stored(tmp_path, nothing)).rows[0].promised is None


def test_good_faults_are_read_whole(tmp_path):
    row = read_faults(stored(tmp_path, FAULTS)).rows[0]
    assert (row.group, row.tried, row.survived, row.lost, row.executed) == ("kill", 200, 200, 0, 0)


@pytest.mark.parametrize(
    ("kind", "place", "value", "word"),
    [
        ("bench", ("schema",), 2, "schema"),
        ("bench", ("schema",), True, "schema"),
        ("bench", ("extra",), 1, "extra"),
        ("bench", ("scaling",), ..., "scaling"),
        ("bench", ("machine",), {"cores": 2}, "machine"),
        ("bench", ("made",), "yesterday", "made"),
        ("bench", ("rows",), {}, "rows"),
        ("bench", ("rows", 0), "row", "rows 1"),
        ("bench", ("rows", 0, "verdict"), "good", "verdict"),
        ("bench", ("rows", 0, "ratio", "median"), 0, "median"),
        ("bench", ("rows", 0, "ratio", "low"), True, "low"),
        ("bench", ("rows", 0, "ratio", "to"), ..., "to"),
        ("bench", ("rows", 0, "variants", 0, "rounds"), 2.5, "rounds"),
        ("bench", ("rows", 0, "variants", 0, "median"), -1.0, "median"),
        ("bench", ("rows", 0, "promised"), "ten", "promised"),
        ("bench", ("scaling", 0, "log"), 1, "log"),
        ("bench", ("scaling", 0, "lines", 0, "x"), [0, 1], "logarithmic"),
        ("bench", ("scaling", 0, "lines", 0, "x"), [1], "values of x"),
        ("bench", ("scaling", 0, "lines", 0, "y"), "12", "y"),
        ("faults", ("rows", 0, "tried"), -1, "tried"),
        ("faults", ("rows", 0, "survived"), 201, "survived"),
        ("faults", ("rows", 0, "lost"), "none", "lost"),
        ("faults", ("rows", 0, "executed"), ..., "executed"),
        ("faults", ("rows", 0, "note"), None, "note"),
        ("faults", ("scaling",), [], "scaling"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(tmp_path, kind, place, value, word):
    reader, body = READERS[kind]
    path = stored(tmp_path, changed(body, place, value))
    with pytest.raises(DataError) as problem:
        reader(path)
    assert str(problem.value).startswith(str(path))
    assert word in str(problem.value).removeprefix(str(path))
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"schema": NaN}', '{"schema": 1, "schema": 1}', "[" * 10_000]
)
@pytest.mark.parametrize("kind", list(READERS))
def test_what_is_no_json_object_is_refused(tmp_path, kind, text):
    with pytest.raises(DataError):
        READERS[kind][0](stored(tmp_path, text))


@pytest.mark.parametrize("kind", list(READERS))
def test_missing_binary_and_oversized_files_are_refused(tmp_path, kind, monkeypatch):
    reader, body = READERS[kind]
    with pytest.raises(DataError, match="cannot be read"):
        reader(tmp_path / "none.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(DataError, match="not a text in UTF-8"):
        reader(tmp_path / "binary.json")
    monkeypatch.setattr("clrepro.report.bench_results.MAX_BYTES", 10)
    with pytest.raises(DataError, match="expected at most"):
        reader(stored(tmp_path, body))


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(kind=st.sampled_from(sorted(READERS)), place=st.integers(0, 30), value=ANY)
def test_a_changed_field_is_read_or_refused_but_never_more(tmp_path_factory, kind, place, value):
    reader, body = READERS[kind]
    places = list(all_places(body))
    text = json.dumps(changed(body, places[place % len(places)], value))
    path = tmp_path_factory.getbasetemp() / f"{kind}.json"
    path.write_text(text)
    message = ""
    try:
        reader(path)
    except DataError as problem:
        message = str(problem)
    assert "\n" not in message


def all_places(body, way=()):
    items = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, value in items:
        yield (*way, key)
        yield from all_places(value, (*way, key))
