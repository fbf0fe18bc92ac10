"""Every reader of files, with files cut, joined and changed at random: only what it says it raises."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.reader_case import Subject, digest
from faults.reader_cases_papers import every
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SUBJECTS = {subject.name: subject for subject in every()}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Damaged headers make libraries warn before they fail."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_valid_file_is_read_the_same_twice(name: str, tmp_path: Path) -> None:
    subject = SUBJECTS[name]
    path = subject.make(tmp_path)
    assert digest(subject.read(path)) == digest(subject.read(path))


@st.composite
def changes(draw: st.DrawFn) -> list[tuple[float, int, bytes]]:
    """Places (as shares of the length), bytes taken away and bytes put there."""
    places = st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=20))
    return draw(st.lists(places, min_size=1, max_size=4))


@pytest.mark.parametrize("name", SUBJECTS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changed=changes(), random=st.none() | st.binary(max_size=200))
def test_changed_files_raise_only_what_is_documented(
    name: str, changed: list[tuple[float, int, bytes]], random: bytes | None, tmp_path: Path
) -> None:
    subject: Subject = SUBJECTS[name]
    path = next(iter(tmp_path.glob("made*")), None)
    if path is None:
        made = subject.make(tmp_path / _folder(tmp_path))
        (tmp_path / "made").write_text(str(made))
        (tmp_path / "good").write_bytes(made.read_bytes())
    place, good = Path((tmp_path / "made").read_text()), (tmp_path / "good").read_bytes()
    data = bytearray(subject.opened(good))
    for share, taken, put in changed:
        at = int(share * len(data))
        data[at : at + taken] = put
    place.write_bytes(subject.sealed(bytes(data) if random is None else random))
    with contextlib.suppress(*subject.errors):
        subject.read(place)


def _folder(parent: Path) -> str:
    (parent / "files").mkdir()
    return "files"
