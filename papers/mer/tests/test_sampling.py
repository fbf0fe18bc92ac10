"""Replay draws and reservoir laws (contract O1 and O2)."""

import random

import numpy as np
import pytest
from scipy.stats import chisquare

from mer_repro.engine import FusedEngine
from mer_repro.memory import ReplayMemory
from mer_repro.sampling import FastSampler, LegacySampler


def plain_indices(rng, size, n):
    """The original's draw, transcribed from its description: shuffle everything, take position j."""
    order = list(range(size))
    out = []
    for j in range(n):
        rng.shuffle(order)
        out.append(order[j])
    return out


@pytest.mark.parametrize(("size", "n"), [(1, 1), (2, 2), (7, 5), (64, 20), (300, 40)])
def test_compiled_legacy_draws_are_pythons_and_leave_the_generator_there(size, n):
    ours, plain = random.Random(5), random.Random(5)
    sampler = LegacySampler(size, ours, compiled=True)
    sampler.load({"age": size})
    for _ in range(5):
        assert sampler.sample(n).tolist() == plain_indices(plain, size, n)
        assert ours.getstate() == plain.getstate()
        assert ours.random() == plain.random()  # other uses of the generator may come in between


@pytest.mark.parametrize("state", [{"age": 4, "capacity": 9}, {"age": -1}, {"age": 2.5}])
def test_a_legacy_sampler_takes_no_foreign_state(state):
    sampler = LegacySampler(3, random.Random(0), compiled=False)
    with pytest.raises(ValueError, match=r"state of 9 slots|items seen"):
        sampler.load(state)
    assert sampler.size == 0


def test_a_replay_memory_takes_no_state_of_another_capacity():
    def memory(capacity):
        return ReplayMemory(FusedEngine((4, 3, 2)), capacity, FastSampler(capacity, np.random.default_rng(0)))

    one = memory(1)
    one.stage(np.ones(4, np.float32), 0, 1)
    one.keep()
    for capacity in (0, 5):
        with pytest.raises(ValueError, match="state of"):
            memory(5).load({**one.state(), "task": np.zeros(capacity + 1, np.int64)})
    with pytest.raises(ValueError, match="state of a reservoir of 1 slots"):
        memory(5).load({**one.state(), "task": np.zeros(6, np.int64)})


def test_uncompiled_legacy_draws_are_the_same():
    slow, fast = (LegacySampler(50, random.Random(1), compiled) for compiled in (False, True))
    for sampler in (slow, fast):
        for _ in range(60):
            sampler.add()
    assert slow.sample(30).tolist() == fast.sample(30).tolist()
    assert slow.order(9).tolist() == fast.order(9).tolist()


@pytest.mark.parametrize("kind", ["fast", "legacy"])
def test_draws_are_uniform_independent_and_repeat(kind):
    if kind == "fast":
        sampler = FastSampler(7, np.random.default_rng(2))
    else:
        sampler = LegacySampler(7, random.Random(2), compiled=True)
    for _ in range(7):
        sampler.add()
    draws = np.concatenate([sampler.sample(7) for _ in range(15_000)])
    assert chisquare(np.bincount(draws, minlength=7)).pvalue > 1e-3
    pairs = np.zeros((7, 7))
    np.add.at(pairs, (draws[:-1], draws[1:]), 1)
    assert chisquare(pairs.ravel()).pvalue > 1e-3


@pytest.mark.parametrize("kind", ["fast", "legacy"])
def test_reservoir_law(kind):
    """Exact: m/n for all.  Legacy: (m+1)/(n+1) for the first m, m/(n+1) after, because the counter runs one
    ahead.
    """
    m, n, trials = 20, 200, 2000
    kept = np.zeros(n)
    for trial in range(trials):
        if kind == "fast":
            sampler = FastSampler(m, np.random.default_rng(trial))
        else:
            sampler = LegacySampler(m, random.Random(trial), compiled=True)
        slots = np.full(m, -1)
        for item in range(n):
            slot = sampler.add()
            assert (item < m) == (slot == item) or slot != item
            if slot >= 0:
                slots[slot] = item
        kept[slots] += 1
        assert sampler.size == m
    expected = np.full(n, m / n) if kind == "fast" else np.where(np.arange(n) < m, m + 1, m) / (n + 1)
    assert kept.sum() == m * trials
    assert chisquare(kept, expected * trials).pvalue > 1e-3


def test_a_draw_never_exceeds_what_is_stored():
    sampler = FastSampler(5, np.random.default_rng(0))
    assert len(sampler.sample(3)) == 0
    sampler.add()
    assert sampler.sample(3).tolist() == [0]
