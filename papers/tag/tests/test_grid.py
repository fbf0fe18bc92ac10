"""grid.csv: every line carries its checksum; what is damaged is told, what is cut off is searched again."""

import pytest

from clrepro.errors import DataError
from tag_repro.tag import grid

ROWS = {(5.0, 0.1): 0.5, (7.0, 0.01): 0.1 + 0.2}


def written(folder, change=lambda text: text):
    path = folder / "grid.csv"
    path.write_bytes(change(grid._table(["b", "lr"], ROWS).encode()))
    return path


def test_cells_come_back_equal(tmp_path):
    assert grid._read(written(tmp_path), ["b", "lr"]) == ROWS
    assert grid._read(tmp_path / "absent.csv", ["b", "lr"]) == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b"0.5", b"0.9"),
        lambda text: text[:-3],
        lambda text: text.replace(b"\n", b"\n\n"),
        lambda text: text.replace(b"lr", b"rl", 1),
        lambda text: text + b'"open,1\n',
        lambda text: text + b"\0\n",
        lambda text: text + b"9" * 200_000,
        lambda text: b"\xff" + text,
        lambda text: b"",
    ],
)
def test_damage_is_one_line(change, tmp_path):
    with pytest.raises(DataError, match=r"grid\.csv: not a grid of b, lr .*; remove it"):
        grid._read(written(tmp_path, change), ["b", "lr"])


def test_cells_that_are_cut_off_are_searched_again(tmp_path):
    path = written(tmp_path, lambda text: b"".join(text.splitlines(keepends=True)[:2]))
    assert grid._read(path, ["b", "lr"]) == {(5.0, 0.1): 0.5}
