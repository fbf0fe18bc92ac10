"""One phase of the loop by hand: what is drawn from the buffer, what the agent is given, what comes back."""

from dataclasses import replace

import numpy as np
import pytest

from clrepro.progress import Progress
from clrepro.seeding import Seeds
from hvcl_repro.rl.settings import RLSettings
from hvcl_repro.rl.train import Loop

TINY = RLSettings(
    env_set="toy",
    hidden_u=4,
    batch_s=16,
    train_steps=800,
    train_interval=200,
    updates=5,
    replay_start_size=100,
)


@pytest.fixture
def loop():
    made = Loop(TINY, Seeds(0), None, 0, 0)
    rng = np.random.default_rng(0)
    made.buffer.extend(
        rng.normal(size=(60, 28)), rng.normal(size=(60, 8)), rng.normal(size=60), rng.normal(size=(60, 28)),
        np.zeros(60),
    )  # fmt: skip
    made.buffer.update_priority(np.arange(60), rng.uniform(0.1, 9, 60))
    for _ in range(20):
        made.scale.see(rng.normal(0, 5, 2), np.zeros(2, bool))
    return made


def test_weights_are_over_the_largest_of_their_own_batch(loop):
    before = loop.buffer.policy.state()["weights"]
    rows, weights, slots = loop._draw(0.6, 5, 16)
    mass = before[slots].reshape(5, 16)
    expected = (mass / mass.min(axis=1, keepdims=True)) ** -0.6
    np.testing.assert_allclose(weights.reshape(5, 16), expected, rtol=1e-5)
    np.testing.assert_array_equal(rows["rewards"], loop.buffer.columns.read(slots)["rewards"])


def test_a_phase_learns_from_scaled_rewards_and_sets_new_priorities(loop, monkeypatch):
    given, errors = {}, np.linspace(0.5, 2, 80)

    def train(batch, weights, n):
        given.update(batch, n=n, size=len(weights))
        return {"q_loss": 0.0}, errors

    monkeypatch.setattr(loop.sac, "train", train)
    drawn = {}
    real = loop._draw
    monkeypatch.setattr(
        loop, "_draw", lambda beta, *rest: drawn.update(beta=beta, got=real(beta, *rest)) or drawn["got"]
    )
    loop.steps = 450
    loop._learn()
    assert drawn["beta"] == pytest.approx(0.4 + 0.6 * (450 - 100) / (800 - 100))
    slots = drawn["got"][2]
    raw = loop.buffer.columns.read(slots)["rewards"]
    np.testing.assert_allclose(
        given["rewards"], raw / np.sqrt(loop.scale.squares / loop.scale.count), rtol=1e-4
    )
    assert (given["n"], given["size"]) == (5, 80)
    last = {slot: error for slot, error in zip(slots.tolist(), errors, strict=True)}
    weights = loop.buffer.policy.state()["weights"]
    np.testing.assert_allclose(weights[list(last)], (np.array(list(last.values())) + 1e-6) ** 0.7, rtol=1e-9)
    assert loop.result.updates == 5


def test_each_phase_is_a_hundred_steps_of_every_environment():
    made = Loop(replace(TINY, train_steps=500), Seeds(0), None, 0, 0)
    phases = []
    made._evaluate = lambda *_: None
    made._learn = lambda: phases.append(made.steps)
    made._task(0.0, Progress.silent().run(3))
    assert phases == [200, 400, 500]
    assert made.result.train_steps == made.buffer.n_entries == 500
