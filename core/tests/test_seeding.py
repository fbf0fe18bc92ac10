"""Named streams: each depends on the seed and its name alone, everywhere."""

import os
import subprocess
import sys

import numpy as np
import pytest

from clrepro.seeding import Seeds


def first(seeds, name, n=5):
    return seeds.generator(name).random(n).tolist()


def test_a_stream_does_not_notice_the_others():
    alone, crowded = Seeds(7), Seeds(7)
    for name in ("init", "env/0", "env/1", "memory"):
        first(crowded, name, 100)
    assert first(alone, "data") == first(crowded, "data")


def test_names_and_seeds_give_different_streams_and_the_same_name_continues():
    seeds = Seeds(7)
    assert len({tuple(first(seeds, name)) for name in ("data", "init", "env/0", "env/1")}) == 4
    assert first(Seeds(8), "data") != first(Seeds(7), "data")
    assert seeds.generator("data") is seeds.generator("data")
    assert first(Seeds(7), "data", 10)[5:] == first(seeds, "data")


def test_numbers_are_the_same_in_every_process():
    """Python salts hash() anew in each process; the streams must not depend on it."""
    code = "from clrepro.seeding import Seeds; s = Seeds(3); print(s.integer('x'), s.generator('x').random())"
    printed = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": salt},
            capture_output=True, text=True, check=True,
        ).stdout
        for salt in ("0", "1")
    }  # fmt: skip
    assert len(printed) == 1


def test_integers_are_seeds_for_others():
    seeds = Seeds(0)
    values = [seeds.integer(f"worker/{i}") for i in range(200)]
    assert len(set(values)) == 200
    assert all(0 <= value < 2**31 for value in values)


def test_saved_and_loaded_every_stream_goes_on():
    one = Seeds(5)
    first(one, "data"), first(one, "init")
    other = Seeds(5)
    other.load(one.state())
    assert [first(other, name) for name in ("data", "init", "new")] == [
        first(one, name) for name in ("data", "init", "new")
    ]


def test_a_generator_taken_before_loading_goes_on_too():
    one, other = Seeds(5), Seeds(5)
    held = other.generator("data")
    first(one, "data")
    other.load(one.state())
    np.testing.assert_array_equal(held.random(4), one.generator("data").random(4))


@pytest.mark.parametrize("seed", [-1])
def test_negative_seeds_are_refused(seed):
    with pytest.raises(ValueError, match=r"-1|negative|non-negative"):
        Seeds(seed).generator("data")
