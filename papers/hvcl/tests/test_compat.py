"""Every difference from the original can be undone on its own."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from clrepro.errors import UsageError
from hvcl_repro.compat import LAYER_PARTS, PARTS, RL_PARTS, undone
from hvcl_repro.layers import DenseMoVE
from hvcl_repro.rl import cli as rl
from hvcl_repro.rl.settings import RLSettings
from hvcl_repro.supervised import cli as supervised

X = tf.constant(np.random.default_rng(0).normal(size=(64, 5)), tf.float32)


def layer(compat):
    made = DenseMoVE(6, 3, seed=0, compat=compat)
    made(X)
    return made


def test_words():
    assert undone("fixed") == frozenset()
    assert undone("original") == frozenset(PARTS)
    assert undone("gate+padding") == {"gate", "padding"}
    with pytest.raises(ValueError, match="compat 'gates': fixed, original, or some of gate"):
        undone("gates")
    with pytest.raises(ValueError, match="compat 'gates'"):
        DenseMoVE(2, 2, compat="gates")


def test_gate_alone_takes_the_tasks_gradient_from_the_gate():
    norms = []
    for compat in ("fixed", "gate"):
        made = layer(compat)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(made(X, training=True) ** 2)
        norms.append(float(tf.norm(tape.gradient(loss, made.gate))))
    assert norms[0] > 0
    assert norms[1] == 0


def test_entropy_alone_changes_the_losses_and_nothing_else():
    fixed, other = layer("fixed"), layer("entropy")
    assert len(other.loss_names) == len(fixed.loss_names) + 1
    np.testing.assert_array_equal(fixed(X), other(X))
    np.testing.assert_allclose(other.losses[0] - other.losses[1], -fixed.losses[0], rtol=1e-4)
    np.testing.assert_allclose(other.losses[2:], fixed.losses[1:])


def test_initializer_alone_is_the_stacks_limit():
    limits = [float(tf.reduce_max(tf.abs(layer(compat).mu))) for compat in ("fixed", "initializer")]
    assert limits[0] == pytest.approx((6 / 5) ** 0.5, rel=0.1)
    assert limits[1] == pytest.approx((2 * 3 / (5 * 6)) ** 0.5, rel=0.1)


def test_distance_alone_is_dead_with_wide_layers():
    gradients = []
    for compat in ("fixed", "distance"):
        made = DenseMoVE(256, 3, seed=0, compat=compat)
        with tf.GradientTape() as tape:
            made(X)
            loss = made.losses[2]
        gradients.append(float(tf.norm(tape.gradient(loss, made.mu))))
    assert gradients[0] > 1e-4
    assert gradients[1] < 1e-9


def test_evaluation_alone_is_drawn():
    made = layer("evaluation")
    assert np.any(made(X).numpy() != made(X).numpy())
    fixed = layer("fixed")
    np.testing.assert_array_equal(fixed(X), fixed(X))


def test_settings_know_their_parts():
    settings = replace(RLSettings(), compat="padding+slices")
    assert [part for part in RL_PARTS if settings.original(part)] == ["padding", "slices"]
    assert not any(RLSettings().original(part) for part in PARTS)


@pytest.mark.parametrize("program", [rl, supervised])
def test_the_flag(program):
    assert program.parse(["--compat", "gate+entropy"]).settings.compat == "gate+entropy"
    assert program.parse([]).settings.compat == "fixed"
    with pytest.raises(UsageError, match=r"--compat.*joined by \+"):
        program.parser().parse_args(["--compat", "gates"])
    assert set(LAYER_PARTS) < set(PARTS)
