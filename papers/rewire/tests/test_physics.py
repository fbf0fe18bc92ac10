"""What tasks change, as numbers: no simulator needed."""

import numpy as np
import pytest

from rewire_repro.scenarios import WIDTHS
from rewire_repro.scenarios.physics import CHANGES, DEFECTIVE, Model, Physics, physics_of

LEGS = ("left", "right", "third", "fourth")
MODELS = {
    "halfcheetah": Model(
        ("torso", "bthigh", "bshin", "bfoot", "fthigh", "fshin", "ffoot"),
        ("floor", "torso", "head", "bthigh", "bshin", "bfoot", "fthigh", "fshin", "ffoot"),
        ("bthigh", "bshin", "bfoot", "fthigh", "fshin", "ffoot"),
        None,
    ),
    "ant": Model(
        ("torso", "aux_1", "link 2", "aux_2", "link 4", "aux_3", "link 6", "aux_4", "link 8"),
        ("floor", "torso_geom", *(f"{leg}_{part}_geom" for leg in LEGS for part in ("ankle", "foot"))),
        ("hip_4", "ankle_4", "hip_1", "ankle_1", "hip_2", "ankle_2", "hip_3", "ankle_3"),
        None,
    ),
}


def physics(domain, task, rule="product"):
    model = MODELS[domain]
    n_in, n_actions = WIDTHS[domain]
    ones = [
        np.ones(n, np.float32)
        for n in (len(model.geoms), len(model.geoms), len(model.links), n_actions, n_in)
    ]
    stock = Physics(np.array([0, 0, -9.81], np.float32), *ones)
    return physics_of(Model(model.links, model.geoms, model.joints, stock), CHANGES[domain][task], rule)


def changed(domain, task):
    """Fields that differ from `normal`."""
    one, normal = physics(domain, task), physics(domain, "normal")
    return {name for name in vars(normal) if not np.array_equal(getattr(one, name), getattr(normal, name))}


@pytest.mark.parametrize(
    ("domain", "task", "fields"),
    [
        ("halfcheetah", "normal", set()),
        ("halfcheetah", "moon", {"gravity"}),
        ("halfcheetah", "rainfall", {"friction"}),
        ("halfcheetah", "hugefoot", {"mass", "radius"}),
        ("halfcheetah", "tinyfoot_moon", {"mass", "radius", "gravity"}),
        ("halfcheetah", "carry_stuff_hugegravity", {"mass", "radius", "gravity"}),
        ("halfcheetah", "hugefoot_rainfall", {"mass", "radius", "friction"}),
        ("halfcheetah", "defective_module", {"mask"}),
        ("halfcheetah", "inverted_actions", {"gain"}),
        ("ant", "moon", {"gravity"}),
        ("ant", "hugefoot", {"mass", "radius"}),
        ("ant", "disabled_hard1", {"gain"}),
    ],
)
def test_a_task_changes_what_is_documented_and_nothing_else(domain, task, fields):
    assert changed(domain, task) == fields


def test_factors_by_hand():
    assert physics("halfcheetah", "moon").gravity[2] == pytest.approx(0.15 * -9.81)
    assert physics("halfcheetah", "rainfall").friction == pytest.approx(0.16)
    assert physics("halfcheetah", "rainfall", "linear").friction == pytest.approx(0.4)
    assert physics("ant", "rainfall").friction == pytest.approx(0.140625)
    foot = physics("halfcheetah", "hugefoot")
    assert foot.mass.tolist() == [1, 1, 1, 1.5, 1, 1, 1.5]
    assert foot.radius.tolist() == [1, 1, 1, 1, 1, 1.5, 1, 1, 1.5]
    assert physics("halfcheetah", "carry_stuff").mass[0] == 4
    assert physics("ant", "hugefoot").mass.tolist() == [1, 1, 1.5, 1, 1.5, 1, 1.5, 1, 1.5]


def test_the_broken_module_is_the_contracts():
    mask = physics("halfcheetah", "defective_module").mask
    assert "".join(str(int(one)) for one in mask) == DEFECTIVE == "00110011101100011"


@pytest.mark.parametrize(
    ("task", "old_off"),
    [
        ("disabled_hard1", range(2, 8)),
        ("disabled_hard2", (0, 1, 4, 5, 6, 7)),
        ("disabled_forefeet", range(4)),
        ("disabled_backfeet", range(4, 8)),
        ("disabled_first_diagonal", (0, 1, 4, 5)),
        ("disabled_second_diagonal", (2, 3, 6, 7)),
    ],
)
def test_disabled_legs_by_the_originals_indices(task, old_off):
    gain = physics("ant", task).gain
    assert {i for i in range(8) if gain[i] == 0} == {(i + 2) % 8 for i in old_off}


def test_inverted_actions():
    assert physics("ant", "inverted_actions").gain.tolist() == [-1] * 8
