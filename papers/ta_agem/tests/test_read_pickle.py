"""The program that shows a result file: what it prints, asks, draws and refuses."""

import io
import os
import pickle
import sys

import pytest

from ta_agem_repro import reader
from ta_agem_repro.analysis import read_pickle


@pytest.fixture
def opened(monkeypatch):
    """Opens no browser; the list tells which figures would have been shown."""
    graph_objects = pytest.importorskip("plotly.graph_objects")
    names: list[str] = []
    drawn = {name: graph_objects.Figure(layout_title_text=name) for name in read_pickle.FIGURES}
    monkeypatch.setattr("ta_agem_repro.figures.build", lambda run: drawn)
    monkeypatch.setattr(graph_objects.Figure, "show", lambda figure: names.append(figure.layout.title.text))
    return names


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def path(tmp_path, monkeypatch, write_run):
    monkeypatch.chdir(tmp_path)
    return write_run(tmp_path / "test_results")


def test_prints_keys_types_params_and_numbers(path, opened, capsys):
    assert read_pickle.main([path.name]) == 0
    text = capsys.readouterr().out
    assert "'epoch_data': list of 4, first a dict" in text
    assert "'timestamp': str" in text
    assert "'removal_function': 'remove_oldest'" in text
    assert "A 0.6800" in text
    assert "F1 0.1500" in text
    assert "batches: 16, frames of oldest tasks: 4" in text
    assert "--save_dir" in text
    assert opened == []


def test_looks_in_test_results_first_then_at_the_path(path, tmp_path):
    (tmp_path / path.name).write_bytes(b"")
    assert read_pickle.find(path.name) == read_pickle.RESULTS / path.name
    assert read_pickle.find(str(path)) == path


def test_opens_what_was_asked_for(path, opened):
    assert read_pickle.main([path.name, "--show", "dashboard", "batch_losses", "dashboard"]) == 0
    assert opened == ["dashboard", "batch_losses"]


def test_saves_all_figures_or_those_named(path, opened, tmp_path, capsys):
    assert read_pickle.main([path.name, "--save_dir", "all"]) == 0
    names = sorted(file.name for file in (tmp_path / "all").iterdir())
    assert names == sorted(["plotly.min.js", *(f"{path.stem}_{name}.html" for name in read_pickle.FIGURES)])
    assert "A 68.00 %" in (tmp_path / "all" / f"{path.stem}_dashboard.html").read_text()
    assert opened == []
    read_pickle.main([path.name, "--save_dir", "one", "--show", "dashboard"])
    assert {file.name for file in (tmp_path / "one").glob("*.html")} == {f"{path.stem}_dashboard.html"}
    assert opened == ["dashboard"]


def test_asks_in_a_terminal_and_opens_all(path, opened, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Terminal(f" {path.name} \n"))
    assert read_pickle.main([]) == 0
    assert opened == list(read_pickle.FIGURES)


def test_a_name_that_is_piped_in_opens_no_browser(path, opened, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{path.name}\n"))
    assert read_pickle.main([]) == 0
    assert "A 0.6800" in capsys.readouterr().out
    assert opened == []


@pytest.mark.parametrize("stdin", [io.StringIO(""), io.StringIO("\n"), Terminal("")])
def test_without_a_name_it_is_a_usage_error(monkeypatch, capsys, stdin):
    monkeypatch.setattr(sys, "stdin", stdin)
    assert read_pickle.main([]) == 2
    assert "no file name" in capsys.readouterr().err


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_a_hostile_pickle_is_refused_even_with_good_files_beside_it(path, tmp_path, capsys):
    path.write_bytes(pickle.dumps(Hostile()))
    assert read_pickle.main([path.name]) == 1
    err = capsys.readouterr().err
    assert path.name in err
    assert "mkdir" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "ran").exists()


def test_texts_of_a_file_cannot_steer_the_terminal(tmp_path, opened, capsys):
    data = {"\x1b[2Jkey": 1, "task_accuracies": [0.5], "params": {"\x1b[2J": "\x1b]0;owned\x07"}}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(data))
    assert read_pickle.main([str(tmp_path / "a.pkl")]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_files_without_params_are_shown(tmp_path, opened, capsys):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"task_accuracies": [0.5]}))
    assert read_pickle.main([str(tmp_path / "a.pkl")]) == 0
    text = capsys.readouterr().out
    assert "params: none in this file" in text
    assert "made from its other contents or its name: epoch_data" in text


@pytest.mark.parametrize(
    ("argv", "code", "reason"),
    [
        (["none.pkl"], 1, "no such file"),
        (["cut.pkl"], 1, "not a complete pickle"),
        (["cut.pkl", "--show", "everything"], 2, "invalid choice"),
    ],
)
def test_mistakes_end_in_one_line(tmp_path, monkeypatch, capsys, argv, code, reason):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cut.pkl").write_bytes(b"\x80\x04]")
    assert read_pickle.main(argv) == code
    err = capsys.readouterr().err
    assert reason in err
    assert err.count("\n") == 1


def test_the_real_figures_are_drawn_from_a_file(path):
    pytest.importorskip("plotly")
    figures = pytest.importorskip("ta_agem_repro.figures")
    drawn = figures.build(reader.read(path))
    assert set(read_pickle.FIGURES) <= set(drawn)
    for name in read_pickle.FIGURES:
        assert len(drawn[name].data) > 0


@pytest.mark.parametrize("place", ["params", "epoch_data", "extra"])
def test_lists_that_hold_themselves_and_giant_numbers_are_one_line(place, tmp_path, capsys):
    import pickle

    from ta_agem_repro.analysis.read_pickle import main

    loop = []
    loop.append(loop)
    for value, said in ((loop, "holds itself"), ({"seed": 10**5000}, "an integer of 16610 bits")):
        path = tmp_path / "results-x.pkl"
        path.write_bytes(pickle.dumps({"params": {}, "epoch_data": [], place: value}, 4))
        assert main([str(path)]) == 1
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
