"""Many records in one file: a profile's `records.jsonl`, a sealed record per line, sorted by run.

Records that are kept in the repository lie so, at papers/<paper>/results/<profile>/.  A sweep writes and
reads a file per run: `pack` puts those into the one file, `unpack` writes them again for a sweep to go on.
"""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clrepro.errors import DataError
from clrepro.io.atomic import make_folder, write_atomically
from clrepro.io.paths import cannot, exists, is_dir
from clrepro.records import PACKED, RunRecord, load_many, read_packed, read_record, record_files

Key = tuple[str, str, int]  # setting, method, seed


@dataclass(frozen=True)
class Count:
    """What `pack` did: runs that are new, runs whose record is another one now, runs in the file by then,
    and records of failed runs, which are left where they are.
    """

    new: int
    replaced: int
    total: int
    failed: int


def pack(folder: Path, sources: Sequence[Path] = ()) -> Count:
    """Add the records below `folder`/records and `sources` to `folder`/records.jsonl.

    A run that is there already is replaced; of several, that in the earlier source counts, and those below
    `folder` before all.  Files below `folder`/records are removed once the packed file holds what they say;
    those of `sources` stay.
    Raises: DataError, before anything is written, if a file is no good record, if the records are not all of
        one paper and profile, or if there is none.
    """
    target, loose = folder / PACKED, folder / "records"
    old = _good(*read_packed(target)) if exists(target) else []
    given = [_good(*load_many(place)) for place in (loose, *sources) if _is_there(place)]
    found: dict[Key, RunRecord] = {}
    for record in (record for records in given for record in records if record.status != "failed"):
        found.setdefault(_key(record), record)
    before = {_key(record): record for record in old}
    packed = {**before, **found}
    _check_one_profile(folder, list(packed.values()))
    text = "".join(f"{packed[key].to_line()}\n" for key in sorted(packed))
    write_atomically(target, text.encode())
    _remove_packed(loose, packed)
    known = [key for key in found if key in before]
    replaced = [key for key in known if found[key].to_line() != before[key].to_line()]
    failed = sum(record.status == "failed" for records in given for record in records)
    return Count(len(packed) - len(before), len(replaced), len(packed), failed)


def unpack(folder: Path, out: Path) -> tuple[int, int]:
    """Write the records of `folder`/records.jsonl below `out`, as a sweep would have; files there stay.

    Returns: (records written, records that were there).  Raises: DataError if a line is no good record,
        before anything is written, or if a file cannot be written.
    """
    records = _good(*read_packed(folder / PACKED))
    missing = [record for record in records if not exists(record.path(out))]
    for record in missing:
        path = record.path(out)
        make_folder(path.parent)
        write_atomically(path, record.to_json().encode())
    return len(missing), len(records) - len(missing)


def _good(records: list[RunRecord], problems: list[str]) -> list[RunRecord]:
    if problems:
        raise DataError(problems[0])
    return records


def _is_there(place: Path) -> bool:
    return exists(place) and is_dir(place)


def _key(record: RunRecord) -> Key:
    return record.setting, record.method, record.seed


def _check_one_profile(folder: Path, records: Sequence[RunRecord]) -> None:
    profiles = sorted({f"{record.paper} {record.profile}" for record in records})
    if not profiles:
        raise DataError(f"{folder}: no finished run to pack; name folders of records with --from")
    if len(profiles) > 1:
        raise DataError(f"{folder}: records of {' and '.join(profiles[:3])}; pack one profile at a time")


def _remove_packed(loose: Path, packed: dict[Key, RunRecord]) -> None:
    """Remove the files below `loose` whose record is in `packed`, then the folders that are empty by then."""
    for path in record_files(loose)[0]:
        record = read_record(path)  # as it is now: one that has changed since stays
        if (kept := packed.get(_key(record))) is not None and kept.to_line() == record.to_line():
            try:
                path.unlink()
            except OSError as problem:
                raise DataError(cannot(problem, path, "removed")) from None
    for place, _, _ in os.walk(loose, topdown=False):
        with contextlib.suppress(OSError):  # not empty
            os.rmdir(place)
