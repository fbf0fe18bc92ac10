"""The learning-rate rule against hand-counted calls (spec 9.12) and the repository's own figure."""

import itertools

import pytest

from ta_agem_repro.learning_rate import TALearningRateScheduler


def test_a_constant_loss_lowers_the_rate_at_call_7_and_then_every_6():
    scheduler = TALearningRateScheduler()
    rates = [scheduler.step(1.0) for _ in range(19)]
    falls = [call for call, (a, b) in enumerate(itertools.pairwise(rates), 2) if b < a]
    assert falls == [7, 13, 19]
    assert rates[6] == pytest.approx(1e-3 * 0.9999)


def test_a_spike_held_for_6_calls_starts_the_rate_again():
    scheduler = TALearningRateScheduler()
    for _ in range(40):
        scheduler.step(1.0)
    assert scheduler.get_lr() < 1e-3
    rates = [scheduler.step(2.5) for _ in range(6)]
    assert rates[4] < 1e-3
    assert rates[5] == 1e-3


def test_a_spike_interrupted_does_not():
    scheduler = TALearningRateScheduler()
    for _ in range(40):
        scheduler.step(1.0)
    for loss in (2.5,) * 5 + (1.0,) + (2.5,) * 5:
        assert scheduler.step(loss) < 1e-3


def test_the_floor_is_kept():
    scheduler = TALearningRateScheduler(factor=0.1)
    for _ in range(100):
        assert scheduler.step(1.0) >= 1e-5
    assert scheduler.get_lr() == 1e-5


def test_1200_batches_without_progress_give_the_rate_in_the_original_files():
    """9.808e-4 after an epoch of 1200 batches: 199 falls at most, fewer where the loss makes progress."""
    scheduler = TALearningRateScheduler()
    for _ in range(1200):
        scheduler.step(1.0)
    assert 1e-3 * 0.9999**200 <= scheduler.get_lr() < 9.81e-4


def test_saved_and_loaded_it_goes_on_the_same():
    one, other = TALearningRateScheduler(), TALearningRateScheduler()
    for loss in (1.0, 0.9, 2.5, 2.5, 2.5):
        one.step(loss)
    other.load(one.state())
    assert [one.step(2.5) for _ in range(9)] == [other.step(2.5) for _ in range(9)]
