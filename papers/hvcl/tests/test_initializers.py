"""Oracle 9: every expert's slice has the law of a kernel of its own."""

import numpy as np
import pytest

from hvcl_repro.layers import (
    HeNormalExpertInitializer,
    HeUniformExpertInitializer,
    XavierNormalExpertInitializer,
    XavierUniformExpertInitializer,
)
from hvcl_repro.layers.initializers import OriginalExpertInitializer

SHAPES = {  # kernel: (fan_in, fan_out) of a slice
    (60, 40, 3): (60, 40),
    (5, 30, 20, 3): (150, 100),
    (3, 3, 16, 24, 3): (144, 216),
    (2, 3, 2, 8, 20, 3): (96, 240),
}
LAWS = [
    (HeUniformExpertInitializer, lambda a, b: 2 / a),
    (HeNormalExpertInitializer, lambda a, b: 2 / a),
    (XavierUniformExpertInitializer, lambda a, b: 2 / (a + b)),
    (XavierNormalExpertInitializer, lambda a, b: 2 / (a + b)),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("kind", "variance"), LAWS)
def test_variance_per_slice_and_independence(kind, variance, shape):
    kernel = np.concatenate([kind(3, seed=s)(shape).numpy().reshape(-1, 3) for s in range(16)])
    np.testing.assert_allclose(kernel.var(axis=0), variance(*SHAPES[shape]), rtol=0.03)
    assert np.abs(np.corrcoef(kernel.T) - np.eye(3)).max() < 0.03
    if "Uniform" in kind.__name__:
        assert np.abs(kernel).max() <= np.sqrt(3 * variance(*SHAPES[shape])) + 1e-6


def test_modes_of_he_normal_and_the_original_limit():
    for mode, fan in (("fan_in", 60), ("fan_out", 40), ("fan_avg", 50)):
        kernel = HeNormalExpertInitializer(3, mode=mode, seed=0)((60, 40, 3)).numpy()
        assert kernel.var() == pytest.approx(2 / fan, rel=0.05)
    kernel = OriginalExpertInitializer(4, seed=0)((28, 64, 4)).numpy()
    assert np.abs(kernel).max() == pytest.approx(0.0668, rel=0.01)


def test_config_round_trip_and_seeds():
    for kind, _ in LAWS:
        first = kind(3, seed=7)
        again = kind.from_config(first.get_config())
        np.testing.assert_array_equal(first((4, 5, 3)), again((4, 5, 3)))
        assert np.any(first((4, 5, 3)) != kind(3, seed=8)((4, 5, 3)))


@pytest.mark.parametrize("shape", [(3, 4), (4, 5, 2)])
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="expert"):
        HeUniformExpertInitializer(3)(shape)
