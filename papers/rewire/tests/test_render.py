"""A short Brax run through the command line, then its policy as a page."""

import pytest

from clrepro.errors import DataError, UsageError
from clrepro.io.checkpoint import RunDir
from rewire_repro import config, experiment, render

pytest.importorskip("brax")
# brax warns of its own age and of array conversions.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]


def test_a_halfcheetah_run_and_its_page(tmp_path):
    words = [
        "scenario=halfcheetah/forgetting", "profile=quick", "logger=jsonl", "device=cpu",
        "scenario.horizon=5",
        "scenario.n_train_envs=2", "scenario.n_steps=30", "scenario.tasks=[hugefoot,moon]",
        "framework.params.algorithm.params.initial_buffer_size=8",
    ]  # fmt: skip
    node = config.compose("rewire", words)
    outcome = experiment.run(config.settings(node), node, RunDir(tmp_path), RunDir(tmp_path))
    assert len(outcome.series["R"]) == 2
    assert outcome.settings["backend"] == "brax/spring"
    page = render.render(tmp_path, 1, 0)
    assert "<html" in page.lower()
    assert "new Viewer" in page
    with pytest.raises(UsageError, match="the sequence has 2"):
        render.render(tmp_path, 2, 0)
    with pytest.raises(DataError, match=r"params.json: no such file"):
        render.render(tmp_path / "none", 0, 0)
