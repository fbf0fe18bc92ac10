"""The exact test, Holm, and the verdict in words."""

import itertools

import numpy as np
import pytest

from clrepro.arena.ranking import ranking
from clrepro.arena.verdict import compare, sentence
from clrepro.metrics.sign_flip import holm, least_pairs, more_pairs_to_decide, sign_flip_p


def by_enumeration(d):
    signs = itertools.product((1, -1), repeat=len(d))
    sums = [abs(sum(s * abs(x) for s, x in zip(row, d, strict=True))) for row in signs]
    return np.mean([total >= abs(sum(d)) - 1e-12 for total in sums])


@pytest.mark.parametrize("seed", range(5))
def test_the_exact_test_is_that_of_all_signs(seed) -> None:
    d = np.random.default_rng(seed).normal(0.5, 1, 7)
    assert sign_flip_p(d) == pytest.approx(by_enumeration(d))


def test_the_smallest_p_is_two_of_all_patterns() -> None:
    assert sign_flip_p([1, 2, 3, 4, 5]) == 0.0625
    assert sign_flip_p([0.0, 0.0]) == 1.0
    assert sign_flip_p([0.1] * 3 + [-0.1] * 3) == 1.0


def test_the_level_of_the_test_is_kept() -> None:
    """Under no difference, p <= .05 comes at most as often as that."""
    rng = np.random.default_rng(1)
    p = [sign_flip_p(rng.normal(size=8)) for _ in range(800)]
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 800)


def test_beyond_twenty_pairs_the_limit_is_near_the_exact_value() -> None:
    d = np.random.default_rng(3).normal(0.35, 1, 20)
    assert sign_flip_p(np.append(d, 0.0)) == pytest.approx(sign_flip_p(d), abs=0.05)


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.5, 0.9]), [1.0, 1.0])


def test_how_many_seeds_can_decide_at_all() -> None:
    assert least_pairs(17) == 10  # one against 17
    assert least_pairs(18 * 17 // 2) == 13  # all pairs of 18


def test_more_pairs_of_a_steady_difference() -> None:
    assert more_pairs_to_decide([[1.0, 1.0, 1.0]]) == 3  # six pairs: 2 / 64
    assert more_pairs_to_decide([[1.0] * 6]) == 0
    assert more_pairs_to_decide([[0.0, 0.0]]) is None
    assert more_pairs_to_decide([[1.0, -1.0]]) is None


def values(*numbers):
    return dict(enumerate(numbers))


def test_the_sentence_counts_and_says_what_would_decide() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(0.7, 0.02, 10)
    own = values(*base)
    others = {
        "worse": values(*(base - 0.2)),
        "better": values(*(base + 0.2)),
        "same": values(*rng.permutation(base)),
    }
    said = sentence("mine", own, others)
    assert "better than 1, no difference found to 1, worse than 1 of 3; Holm, n = 10" in said
    assert "would decide that one" in said
    few = sentence("mine", values(0.7, 0.71), {"x": values(0.1, 0.2)})
    assert "with fewer than 6 seeds the exact test of 1 can find no difference; 4 more seeds" in few


def test_better_is_the_higher_accuracy() -> None:
    """Without a counterpart in the other direction, so that the two words cannot change places unseen."""
    base = np.random.default_rng(0).normal(0.7, 0.02, 10)
    own = values(*base)
    (above,) = compare(own, {"below it": values(*(base - 0.2))})
    assert (above.verdict, above.difference.mean, above.p_better) == ("better", pytest.approx(0.2), 1.0)
    (below,) = compare(own, {"above it": values(*(base + 0.2))})
    assert (below.verdict, below.difference.mean, below.p_better) == ("worse", pytest.approx(-0.2), 0.0)


def test_pairs_are_of_one_seed_and_nothing_is_imputed() -> None:
    own = {0: 0.5, 1: 0.6, 2: 0.7}
    found = compare(own, {"a": {1: 0.5, 2: 0.5, 7: 0.0}, "none": {9: 1.0}})
    assert [(one.other, one.n) for one in found] == [("a", 2)]
    assert found[0].difference.mean == pytest.approx(0.15)


def test_ranks_need_a_method_on_every_stream() -> None:
    tables = {
        "s": {"a": values(0.9, 0.8), "b": values(0.5, 0.6), "c": values(0.1)},
        "t": {"a": values(0.4, 0.6), "b": values(0.5, 0.5)},
    }
    found = {one.method: one for one in ranking(tables, "b")}
    assert found["a"].rank == pytest.approx(1.25)
    assert found["b"].rank == pytest.approx(1.75)
    assert np.isnan(found["c"].rank)
    assert found["c"].streams == 1
    assert found["a"].p_better == pytest.approx((1.0 + 0.5) / 2)
