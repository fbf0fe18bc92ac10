"""JSON and TOML texts, read strictly: what comes out is plain, shallow and printable.

Python's own readers end in other errors than their own for deep nesting and long numbers, and let through
what breaks a later step: texts that no file can hold, numbers that no float can.
"""

import json
import tomllib
from pathlib import Path
from typing import Any, NoReturn

from clrepro.errors import DataError
from clrepro.io.regular_files import read_regular_text

MAX_BYTES = 1 << 28  # of a JSON or TOML file
MAX_DEPTH = 100
MAX_BITS = 256  # of an integer: generators have 128-bit states, and a float holds up to 1023


def parse_json_object(text: str, where: str) -> dict[str, Any]:
    """The JSON object in `text`; duplicate keys, nan, deep nesting and giant integers are refused.

    Raises: DataError naming `where`.
    """
    try:
        body = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
        _check(body)
    except (ValueError, RecursionError) as problem:
        reason = "nested too deeply" if isinstance(problem, RecursionError) else problem
        raise DataError(f"{where}: not valid JSON ({reason}); remove the file and run again") from None
    if not isinstance(body, dict):
        raise DataError(f"{where}: holds a {type(body).__name__}, expected a JSON object")
    return body


def load_json_object(path: Path) -> dict[str, Any]:
    """The JSON object in the file `path`, as `parse_json_object`.  Raises: DataError naming the file."""
    return parse_json_object(read_regular_text(path, MAX_BYTES), str(path))


def load_toml(path: Path, kind: str = "TOML file") -> dict[str, Any]:
    """The tables in the TOML file `path`, within the same bounds.

    Raises: DataError naming the file and its `kind` if it cannot be read.
    """
    try:
        body = tomllib.loads(read_regular_text(path, MAX_BYTES))
        _check(body)
    except (ValueError, RecursionError) as problem:
        reason = "nested too deeply" if isinstance(problem, RecursionError) else problem
        raise DataError(f"{path}: not a readable {kind} ({reason})") from None
    return body


def _check(body: Any) -> None:
    """Raises: ValueError for what is too deep, too large or no text; level by level, as recursion has its own
    limit.
    """
    level, depth = [body], 0
    while level:
        if (depth := depth + 1) > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} deep")
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                _check_texts("".join(value))
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
            elif isinstance(value, str):
                _check_texts(value)
            elif isinstance(value, int) and value.bit_length() > MAX_BITS:
                raise ValueError(f"an integer of {value.bit_length()} bits")
        level = below


def _check_texts(text: str) -> None:
    if not text.isascii():
        text.encode("utf-8")  # half a surrogate pair is a UnicodeEncodeError, which is a ValueError


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    if len(body) != len(pairs):
        raise ValueError("a key occurs twice")
    return body


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
