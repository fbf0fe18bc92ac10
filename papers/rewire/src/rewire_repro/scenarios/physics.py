"""What each Brax task changes, as factors on the stock model; the numbers that one compiled step takes.

Source: the contract's section 6.2.  Ant's legs are numbered as in the original (leg 1 in front on the
left, then
counter-clockwise) and addressed by joint name, since the actuators' order has changed since.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Half of the observations of a broken module, the original's draw mapped to today's 17 numbers by meaning.
DEFECTIVE = "00110011101100011"


@dataclass(frozen=True)
class Change:
    """Factors; names of bodies and geometries are the model's (ant: see BODIES_BY_NUMBER), of legs 1 to 4.

    off: legs whose actions are ignored; inverted: all actions change their sign; mask: of observations.
    """

    gravity: float = 1.0
    friction: float = 1.0
    mass: Mapping[str, float] = field(default_factory=dict)
    radius: Mapping[str, float] = field(default_factory=dict)
    off: tuple[int, ...] = ()
    inverted: bool = False
    mask: str = ""


def _foot(factor: float, **more: Any) -> Change:
    parts = {"bfoot": factor, "ffoot": factor}
    return Change(mass=parts, radius=parts, **more)


def _torso(**more: Any) -> Change:
    return Change(mass={"torso": 4.0}, radius={"torso": 4.0}, **more)


_LOWER_LEGS = {f"link {i}": 1.5 for i in (2, 4, 6, 8)}  # without names in the model
_LOWER_GEOMS = {
    f"{leg}_{part}_geom": 1.5 for leg in ("left", "right", "third", "fourth") for part in ("ankle", "foot")
}

CHANGES: dict[str, dict[str, Change]] = {
    "halfcheetah": {
        "normal": Change(),
        "moon": Change(gravity=0.15),
        "rainfall": Change(friction=0.4),
        "hugefoot": _foot(1.5),
        "tinyfoot": _foot(0.5),
        "carry_stuff": _torso(),
        "carry_stuff_hugegravity": _torso(gravity=1.5),
        "hugefoot_rainfall": _foot(1.5, friction=0.4),
        "tinyfoot_moon": _foot(0.5, gravity=0.15),
        "defective_module": Change(mask=DEFECTIVE),
        "inverted_actions": Change(inverted=True),
    },
    "ant": {
        "normal": Change(),
        "moon": Change(gravity=0.7),
        "rainfall": Change(friction=0.375),
        "hugefoot": Change(mass=_LOWER_LEGS, radius=_LOWER_GEOMS),
        "disabled_hard1": Change(off=(2, 3, 4)),
        "disabled_hard2": Change(off=(1, 3, 4)),
        "disabled_forefeet": Change(off=(1, 2)),
        "disabled_backfeet": Change(off=(3, 4)),
        "disabled_first_diagonal": Change(off=(1, 3)),
        "disabled_second_diagonal": Change(off=(2, 4)),
        "inverted_actions": Change(inverted=True),
    },
    "humanoid": {
        "normal": Change(),
        "moon": Change(gravity=0.15),
        "carrystuff": Change(mass={"torso": 4.0, "lwaist": 4.0}, radius={"uwaist": 4.0, "lwaist": 4.0}),
        "tinyfeet": Change(
            mass={"right_shin": 0.5, "left_shin": 0.5}, radius={"right_foot": 0.5, "left_foot": 0.5}
        ),
    },
}  # fmt: skip


@dataclass(frozen=True)
class Physics:
    """The arguments of a compiled step, float32: what differs between tasks, as numbers.

    gravity (3,); friction, radius (n_geoms,); mass (n_links,); gain (n_actions,), by which actions are
    multiplied
    before physics and control cost; mask (n_in,), of observations.
    """

    gravity: NDArray[np.float32]
    friction: NDArray[np.float32]
    radius: NDArray[np.float32]
    mass: NDArray[np.float32]
    gain: NDArray[np.float32]
    mask: NDArray[np.float32]


@dataclass(frozen=True)
class Model:
    """Names and stock values of a domain's system, and the widths of its actions and observations."""

    links: tuple[str, ...]
    geoms: tuple[str, ...]
    joints: tuple[str, ...]  # of the actuators, in their order
    stock: Physics


def physics_of(model: Model, change: Change, friction_rule: str) -> Physics:
    """Returns the numbers of a task.

    Args: friction_rule — "product": a factor c acts as c² on every geometry's sliding friction, since the
    original's
    engine multiplied two materials, both changed; "linear": as c.
    Raises: KeyError if the model lacks a part that the change names (our own mistake).
    """
    stock = model.stock
    friction = change.friction**2 if friction_rule == "product" else change.friction
    return Physics(
        stock.gravity * np.float32(change.gravity),
        stock.friction * np.float32(friction),
        stock.radius * _factors(model.geoms, change.radius),
        stock.mass * _factors(model.links, change.mass),
        _gain(model.joints, change),
        np.array([int(one) for one in change.mask], np.float32) if change.mask else stock.mask,
    )


def _factors(names: tuple[str, ...], factors: Mapping[str, float]) -> NDArray[np.float32]:
    if unknown := set(factors) - set(names):
        raise KeyError(f"the model has no {min(unknown)}; it has {names}")
    return np.array([factors.get(name, 1.0) for name in names], np.float32)


def _gain(joints: tuple[str, ...], change: Change) -> NDArray[np.float32]:
    off = [any(joint.endswith(f"_{leg}") for leg in change.off) for joint in joints]
    return np.where(off, np.float32(0), np.float32(-1 if change.inverted else 1)).astype(np.float32)
