"""Oracle 13, Oracle 14, Oracle 15, Oracle 16: the tree, the sampling law, the weights, the priorities."""

import numpy as np
import pytest
import scipy.stats

from clrepro.errors import DataError
from hvcl_repro.rl.experience import BetaSchedule, ExperienceBuffer, SumTree


def filled(n=50, **conf):
    buffer = ExperienceBuffer({"size": n, "largest_obs_dim": 3, "largest_act_dim": 2, "seed": 0, **conf})
    for i in range(n):
        buffer.add(np.full(3, i), np.zeros(2), i, np.full(3, i + 1), i % 2 == 0)
    return buffer


@pytest.mark.parametrize("size", [1, 7, 100])
def test_tree_after_many_changes(size):
    """Oracle 13; more of the tree itself: core/tests/test_prioritized.py."""
    rng, tree, plain = np.random.default_rng(0), SumTree(size), np.zeros(size)
    items, added = [None] * size, 0
    for step in range(10_000):
        value = float(rng.random())
        if step < 150 or rng.random() < 0.5:
            place = added % size
            items[place], added = ("item", step), added + 1
            tree.add(("item", step), value)
            assert tree.filled_size() == min(added, size)
        else:
            place = int(rng.integers(size))
            tree.val_update(place, value)
        plain[place] = value
    assert tree.tree[0] == pytest.approx(plain.sum(), rel=1e-9)
    assert tree.data == items
    for u in rng.random(50):
        contents, value, place = tree.find(u)
        assert place == int(np.searchsorted(np.cumsum(plain), u * plain.sum(), side="right"))
        assert (contents, value) == (items[place], plain[place])
    mass = 0.3 * plain.sum()
    assert tree.find(mass, norm=False)[2] == tree.find(0.3)[2]


def test_boundaries_belong_to_the_next_place():
    """Oracle 13."""
    tree = SumTree(5)
    for value in (2.0, 0.0, 3.0, 1.0, 2.0):
        tree.add(None, value)
    masses = [0.0, 1.999, 2.0, 4.999, 5.0, 5.999, 6.0, 7.999]
    assert [tree.find(mass, norm=False)[2] for mass in masses] == [0, 0, 2, 2, 3, 3, 4, 4]
    assert [tree.find(mass / 8)[2] for mass in masses] == [0, 0, 2, 2, 3, 3, 4, 4]
    assert tree.find(np.nextafter(1.0, 0.0))[2] == 4


@pytest.mark.parametrize("alpha", [0.7, 0.0])
def test_items_are_sampled_by_priority_and_sampling_changes_nothing(alpha):
    """Oracle 14: in proportion to p^alpha, thus uniformly at 0."""
    buffer = filled(alpha=alpha)
    priorities = np.random.default_rng(1).uniform(0.1, 5, 50)
    buffer.update_priority(np.arange(50), priorities)
    before = buffer.policy.state()["weights"]
    slots = np.concatenate([buffer.select(0.5, 50)[2] for _ in range(1000)])
    expected = (priorities + 1e-6) ** alpha
    counts = np.bincount(slots, minlength=50)
    assert scipy.stats.chisquare(counts, expected / expected.sum() * len(slots)).pvalue > 1e-3
    np.testing.assert_array_equal(buffer.policy.state()["weights"], before)


def test_weights_correct_for_the_sampling():
    """Oracle 15."""
    buffer = filled()
    priorities = np.random.default_rng(1).uniform(0.1, 5, 50)
    buffer.update_priority(np.arange(50), priorities)
    rows, weights, slots = buffer.select(0.6, 40)
    assert weights.max() == 1
    ratio = ((priorities[slots[0]] + 1e-6) / (priorities[slots] + 1e-6)) ** (0.7 * 0.6)
    np.testing.assert_allclose(weights / weights[0], ratio, rtol=1e-5)
    np.testing.assert_array_equal(rows["rewards"], slots)
    # With the full correction the weighted mean of any function is its plain mean.
    slots, weights = buffer.policy.sample(200_000, 1.0)
    f = np.sin(np.arange(50.0))
    assert np.average(f[slots], weights=weights) == pytest.approx(f.mean(), abs=0.02)
    # Before their division by the largest, 1 / (N P), they make the estimate unbiased.
    mass = (priorities + 1e-6) ** 0.7
    estimates = f[slots] * weights * mass.sum() / (50 * mass[slots].min())
    assert abs(estimates.mean() - f.mean()) < 4 * estimates.std() / np.sqrt(len(slots))


def test_schedule_of_the_correction():
    """Oracle 15."""
    schedule = BetaSchedule({"beta_zero": 0.4, "learn_start": 10, "total_steps": 110, "batch_size": 7})
    assert [round(schedule.get_beta(step)[0], 6) for step in (0, 10, 60, 110, 999)] == [
        0.4,
        0.4,
        0.7,
        1.0,
        1.0,
    ]
    assert schedule.get_beta(0)[1] == 7


def test_new_items_have_the_largest_priority_and_updates_their_power():
    """Oracle 16."""
    buffer = filled()
    buffer.update_priority([3], [9.0])
    buffer.add(np.zeros(3), np.zeros(2), 0.0, np.zeros(3), False)  # takes slot 0
    weights = buffer.policy.state()["weights"]
    np.testing.assert_allclose(weights[[0, 3]], (9.0 + 1e-6) ** 0.7, rtol=1e-9)
    buffer.add(np.zeros(3), np.zeros(2), 0.0, np.zeros(3), False, priority=0.5)
    assert buffer.policy.state()["weights"][1] == pytest.approx(0.5**0.7)
    buffer.reset_alpha(0.35)
    np.testing.assert_allclose(buffer.policy.state()["weights"][3], (9.0 + 1e-6) ** 0.35, rtol=1e-9)


def test_alpha_0_draws_no_item_of_priority_0_and_a_wild_one_changes_nothing():
    buffer = filled()
    buffer.policy.update(np.arange(50), np.r_[0.0, np.full(49, 4.0)])
    with pytest.raises(ValueError, match="weights"):
        buffer.reset_alpha(1e4)
    assert buffer.policy.alpha == 0.7
    buffer.reset_alpha(0.0)
    assert 0 not in buffer.policy.sample(500, 0.4)[0]


def test_a_state_of_another_buffer_is_not_loaded():
    state = filled().state()
    short = {name: column[:5] for name, column in state["columns"].items()}
    other = filled(seed=3)
    before = other.state()
    for wrong in (
        {**state, "columns": short},
        {**state, "policy": {**state["policy"], "weights": np.ones(3)}},
    ):
        with pytest.raises(ValueError, match=r"transitions|weights"):
            other.load_state(wrong)
    np.testing.assert_array_equal(other.policy.state()["weights"], before["policy"]["weights"])


def test_the_originals_tree_keeps_its_contents_where_a_value_is_refused():
    tree = SumTree(2)
    tree.add("first", 1.0)
    tree.add("second", 2.0)
    with pytest.raises(ValueError, match="weights"):
        tree.add("third", -1.0)
    assert (tree.data, tree.cursor) == (["first", "second"], 0)


def test_save_and_load(tmp_path):
    first, second = filled(), filled(seed=9)
    first.update_priority(np.arange(50), np.arange(1.0, 51))
    first.save(tmp_path / "buffer")
    second.load(tmp_path / "buffer")
    a, b = first.get_batch(3), second.get_batch(3)
    for x, y in zip((*a[0].values(), *a[1:]), (*b[0].values(), *b[1:]), strict=True):
        np.testing.assert_array_equal(x, y)
    (tmp_path / "buffer").write_bytes(b"something else")
    with pytest.raises(DataError, match="not a checkpoint"):
        second.load(tmp_path / "buffer")


def test_conf_is_checked():
    with pytest.raises(ValueError, match="largest_obs_dim"):
        ExperienceBuffer({"largest_act_dim": 1})
    with pytest.raises(ValueError, match="unknown key"):
        ExperienceBuffer({"largest_act_dim": 1, "largest_obs_dim": 1, "sise": 3})
