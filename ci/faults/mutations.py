"""A valid JSON, YAML or pickle file, each of its values replaced by what its reader may not expect."""

import copy
import datetime
import json
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np

DEEP = [[[[]]]]
for _ in range(60):
    DEEP = [DEEP]
# As JSON texts, which Python's own writer would not write.
TEXTS = (
    "null", "true", "-1", "0.5", "1e999", "-1e999", "9" * 30, "9" * 400, "-" + "9" * 400, "1e308", '""',
    '"\\ud800"', '"\\u0000"', '"../../x"', '"' + "x" * 100_000 + '"', "[]", "{}", "[[], 1]", "[null]",
    '["a"]',
    "[1, [2]]", "[" * 300 + "]" * 300, "[" * 900 + "]" * 900, '{"a":' * 450 + "1" + "}" * 450,
    "[" + "0.5," * 70_000 + "1]",
    '"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59-14:00"', '{"__array__": 0}', "1e-400",
    "[1e999]", '"inf"',
)  # fmt: skip
MARK = "@@HERE@@"
HOURS = datetime.timedelta(hours=14)
VALUES: tuple[Any, ...] = (
    None, True, -1, 0.5, float("nan"), float("inf"), 10**30, 10**400, -(10**5000), "", "\ud800", "\0",
    b"\xff", "x" * 100_000, [], {}, [[], 1], [None], (1, [2]), {1: 2}, {None: [1]}, set(), [10**400],
    [0.5] * 70_000, DEEP, np.zeros(0), np.zeros((2, 3)), np.float32(2), np.array(["a"]),
    np.zeros((1, 1, 1, 1, 1)),
    datetime.datetime.min.replace(tzinfo=datetime.timezone(HOURS)),
    datetime.datetime.max.replace(tzinfo=datetime.timezone(-HOURS)), datetime.timedelta.max, 1j,
)  # fmt: skip


def twisted(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields (name, bytes); nothing for files of other kinds."""
    yield from _texts(good)
    yield from _objects(good)


def _texts(good: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        body = json.loads(good)
    except ValueError:
        try:
            import yaml

            body = yaml.safe_load(good.decode())
        except Exception:
            return
    if not isinstance(body, dict):
        return
    for place in _places(body):
        marked = json.dumps(_with(body, place, MARK))
        for value in TEXTS:
            yield f"{'.'.join(map(str, place))} = {value[:20]}", marked.replace(f'"{MARK}"', value).encode()


def _objects(good: bytes) -> Iterator[tuple[str, bytes]]:
    from clrepro.errors import DataError
    from clrepro.io import safe_pickle

    if good[:1] != b"\x80":
        return
    try:
        body = safe_pickle.loads(good, "a valid file")
    except DataError:
        return
    if not isinstance(body, dict):
        return
    for place in _places(body):
        for number, value in enumerate(VALUES):
            yield f"{'.'.join(map(str, place))} = value {number}", pickle.dumps(_with(body, place, value), 4)


def _places(body: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, value in items:
        yield (*here, key)
        yield from _places(value, (*here, key))


def _with(body: Any, place: tuple[Any, ...], value: Any) -> Any:
    body = copy.deepcopy(body)
    inner = body
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return body
