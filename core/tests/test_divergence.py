"""A network that has diverged is told from one that is merely wrong."""

import math

import pytest

from clrepro.metrics.divergence import check_size


@pytest.mark.parametrize("size", [0.0, 2.3, -50.0, 9.9e5])
def test_wrong_is_not_diverged(size):
    check_size(size, "the outputs", "lower --lr")


@pytest.mark.parametrize("size", [1e6, -1e9, math.inf, -math.inf, math.nan])
def test_no_number_infinite_or_absurd_is(size):
    with pytest.raises(FloatingPointError, match=r"has diverged: the outputs reach .*; lower --lr"):
        check_size(size, "the outputs", "lower --lr")


@pytest.mark.parametrize("size", [1e6, -1e9])
def test_outputs_of_a_network_with_running_means_may_be_far_off(size):
    check_size(size, "the outputs", "lower --lr", normalised=True)


@pytest.mark.parametrize("size", [math.inf, math.nan])
def test_but_never_without_a_number(size):
    with pytest.raises(FloatingPointError, match="has diverged"):
        check_size(size, "the outputs", "lower --lr", normalised=True)
