"""JSON and TOML as strangers write them: refused in one line, whatever Python's own readers would do."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clrepro.errors import LONGEST, DataError
from clrepro.io.strict_json import MAX_DEPTH, load_json_object, load_toml, parse_json_object

NUMBERS = st.integers(-(2**200), 2**200) | st.floats(allow_nan=False, allow_infinity=False)
WORDS = st.text(st.characters(exclude_categories=["Cs"]))
TREES = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda parts: st.lists(parts) | st.dictionaries(WORDS, parts),
    max_leaves=20,
)  # fmt: skip


@given(tree=st.dictionaries(WORDS, TREES))
def test_plain_objects_come_back_equal(tree: dict[str, object]) -> None:
    assert parse_json_object(json.dumps(tree), "x.json") == tree


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": ' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "}", "nested more than 100 deep"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
        ('{"a": ' + "9" * 100 + "}", "an integer of 333 bits"),
        ('{"a": ' + "9" * 5000 + "}", "4300 digits"),
        ('{"a": "\\ud800"}', "surrogates not allowed"),
        ('{"\\udfff": 1}', "surrogates not allowed"),
        ('{"a": 1, "a": 2}', "twice"),
        ("[1]", "holds a list"),
    ],
)
def test_json_that_would_break_a_later_step_is_refused(text: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason) as problem:
        parse_json_object(text, "x.json")
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"a = " + b"[" * 20_000 + b"]" * 20_000, "nested too deeply"),
        (b"a = " + b"9" * 5000, "4300 digits"),
        (b"a = 0x" + b"f" * 5000, "an integer of 20000 bits"),
        (b"\xff = 1", "UTF-8"),
        (b"a = ", "claims file"),
    ],
)
def test_toml_that_would_break_a_later_step_is_refused(text: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(text)
    with pytest.raises(DataError, match=reason) as problem:
        load_toml(path, "claims file")
    assert str(problem.value).startswith(str(path))
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        load_toml(path)


def test_a_json_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for content in (b"\xff\xfe", b"{", b"[1]"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=str(path)):
            load_json_object(path)
    path.write_text('{"a": 1}')
    assert load_json_object(path) == {"a": 1}
    with pytest.raises(DataError, match="cannot be read"):
        load_json_object(tmp_path / "none.json")


@given(data=st.binary(max_size=300))
def test_random_bytes_are_refused_or_plain(data: bytes) -> None:
    try:
        body = parse_json_object(data.decode("utf-8", errors="replace"), "x")
    except DataError:
        return
    json.dumps(body, allow_nan=False).encode()


def test_a_message_is_never_longer_than_can_be_read() -> None:
    text = str(DataError("start " + "x" * 10_000 + " end"))
    assert len(text) < LONGEST
    assert text.startswith("start ")
    assert text.endswith(" end")
