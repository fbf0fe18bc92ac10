"""The TensorFlow adapter; skipped where TensorFlow is not installed."""

import importlib.util

import numpy as np
import pytest

from clrepro.adapters import tf as adapter
from clrepro.errors import UsageError

if importlib.util.find_spec("tensorflow") is None:
    pytest.skip("TensorFlow is not installed", allow_module_level=True)


@pytest.fixture(scope="module", autouse=True)
def _configured():
    adapter.configure()


def test_a_generator_goes_on_where_it_was():
    import tensorflow as tf

    source = adapter.generator(3)
    draw = tf.function(lambda: source.uniform([4]))
    draw()
    state = adapter.generator_state(source)
    assert state.dtype == np.int64
    first = draw().numpy()
    assert (draw().numpy() != first).any()
    adapter.load_generator_state(source, state)
    assert (draw().numpy() == first).all()


def test_generators_of_one_seed_agree_and_of_two_differ():
    first, again, other = (adapter.generator(seed).uniform([8]).numpy() for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_variables_go_out_and_come_back():
    import tensorflow as tf

    variables = [tf.Variable([[1.0, 2.0]]), tf.Variable(3, dtype=tf.int64)]
    kept = adapter.values(variables)
    variables[0].assign([[0.0, 0.0]])
    assert (kept[0] == [[1.0, 2.0]]).all()
    adapter.assign(variables, kept)
    assert (variables[0].numpy() == kept[0]).all()
    with pytest.raises(ValueError, match="shapes"):
        adapter.assign(variables, [np.zeros((2, 2)), kept[1]])
    with pytest.raises(ValueError, match="shapes"):
        adapter.assign(variables, kept[:1])


def test_the_number_of_threads_cannot_change_later():
    import tensorflow as tf

    assert float(tf.constant(1.0) + 1) == 2
    adapter.configure()  # the same again is fine
    with pytest.raises(UsageError, match="threads 3"):
        adapter.configure(3)
