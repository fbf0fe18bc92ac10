"""Agents and settings small enough for oracles."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from rewire_repro import config  # noqa: E402
from rewire_repro.agents import Shape, make_agent  # noqa: E402
from rewire_repro.rng import Rngs  # noqa: E402

CPU = torch.device("cpu")
GENERIC = {"hidden_size": 8, "start_steps": 0, "layer_norm": False}


@pytest.fixture
def agent():
    """A function that makes a policy of a class, 5 observations, 3 actions and 4 tasks unless told
    otherwise.
    """

    def make(name, seed=0, n_in=5, n_actions=3, n_tasks=4, faithful=False, **values):
        shape = Shape(n_in, n_actions, n_tasks)
        return make_agent(name, {**GENERIC, **values}, shape, Rngs(seed, CPU), faithful)

    return make


@pytest.fixture(scope="session")
def composed():
    """A function that returns the Settings of a method with overrides."""
    pytest.importorskip("hydra")
    return lambda method, *overrides: config.settings(config.compose(method, overrides))


@pytest.fixture
def obs():
    """Observations (6, 5)."""
    return torch.randn(6, 5, generator=torch.Generator().manual_seed(1))
