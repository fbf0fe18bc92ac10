"""What a run is told: frozen dataclasses, filled from the composed configuration and checked on the way."""

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar

from clrepro.errors import UsageError

T = TypeVar("T")
SILENT = ("name", "classname", "device")  # keys of a node that are read elsewhere


@dataclass(frozen=True)
class ScenarioSettings:
    """A sequence of tasks and how long each lasts; `n_steps` and `start_steps` in environment steps.

    train_horizon: steps after which an episode of training is cut (bootstrapped as at the horizon), 0: the
    horizon.
    """

    name: str
    classname: str
    domain: str
    tasks: tuple[str, ...]
    repeat_scenario: int
    n_train_envs: int
    n_evaluation_envs: int
    n_steps: int
    start_steps: int
    evaluate_success: bool
    horizon: int
    backend: str = "auto"
    friction_rule: str = "product"
    reward_version: str = "v2"
    randomization: str = "mt1_50"
    train_horizon: int = 0

    @property
    def sequence(self) -> tuple[str, ...]:
        """The tasks in the order in which they are learnt."""
        return self.tasks * self.repeat_scenario


@dataclass(frozen=True)
class SacSettings:
    """Soft actor-critic; configs/framework/params/algorithm/generic_sac.yaml says what each is."""

    lr_policy: float
    lr_q: float
    lr_entropy: float
    control_every_n_epochs: int
    n_control_rollouts: int
    reward_scaling: float
    policy_update_delay: int
    target_update_delay: int
    time_limit: int
    n_timesteps: int
    batch_size: int
    init_temperature: float
    target_multiplier: float
    clip_grad: float
    inner_epochs: int
    grad_updates_per_step: float
    discount: float
    update_target_tau: float
    buffer_time_size: int
    buffer_size: int
    initial_buffer_size: int

    @property
    def updates_per_epoch(self) -> int:
        """Updates after each acquisition, rounded down."""
        return int(self.inner_epochs * self.grad_updates_per_step)


@dataclass(frozen=True)
class FineTuneSettings(SacSettings):
    """PackNet's second phase: SAC's values and how many updates."""

    iterations: int = 100_000


@dataclass(frozen=True)
class SearchSettings:
    """CSP's choice of a combination; n_validation_steps in environment steps of each rollout."""

    n_estimations: int
    n_samples: int
    improvement_threshold: float
    time_size: int
    n_rollouts: int
    n_validation_steps: int


@dataclass(frozen=True)
class CriticSettings:
    """The two critics."""

    hidden_size: int
    layer_norm: bool


@dataclass(frozen=True)
class EvaluationSettings:
    """n_rollouts × n_evaluation_envs first episodes of a task.

    stages: "all": every task after every stage; "needed": after a stage its own task, after the last all of
    them, which is what P, F and T are made of.
    """

    n_evaluation_envs: int
    n_rollouts: int
    evaluate_success: bool
    seed: int
    stages: str = "all"


@dataclass(frozen=True)
class Settings:
    """A whole run.

    policy: the method's own values, read by its agent class; selection_steps: of a rollout with which rewire
    chooses, in every environment, 0: to the episode's end.
    """

    method: str
    seed: int
    device: str
    paper_faithful: bool
    dry_run: bool
    profile: str
    checkpoint_minutes: float
    framework: str
    policy_class: str
    scenario: ScenarioSettings
    sac: SacSettings
    policy: Mapping[str, Any]
    critic: CriticSettings
    evaluation: EvaluationSettings
    search: SearchSettings | None = None
    finetune: FineTuneSettings | None = None
    fisher_samples: int = 1024
    reset_critic: bool = False
    improvement_threshold: float = 0.0
    selection_rollouts: int = 1
    selection_steps: int = 0
    checkpoint: bool = False
    path: str | None = None


def fill(kind: type[T], node: Mapping[str, Any], where: str) -> T:
    """Returns a dataclass filled from a configuration node, every name and type checked.

    Raises: UsageError naming the key for one that is unknown, missing, of another type or out of range.
    """
    known = {one.name: one for one in fields(kind)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    body = {key: value for key, value in node.items() if key in known or key not in SILENT}
    if unknown := set(body) - set(known):
        raise UsageError(f"{where}.{min(unknown)}: no such key; there are {', '.join(known)}")
    for name, one in known.items():
        if name not in body and one.default is MISSING:
            raise UsageError(f"{where}.{name}: missing")
    values = {name: _checked(value, hints[name], f"{where}.{name}") for name, value in body.items()}
    return kind(**values)


def _checked(value: Any, kind: Any, where: str) -> Any:
    """`value` as `kind`: bool, int, float, str, a tuple of str, or one of several."""
    if isinstance(kind, types.UnionType):
        return (
            next((value for one in kind.__args__ if _fits(value, one)), None) if value is not None else None
        )
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list | tuple) or not value or not all(isinstance(x, str) for x in value):
            raise UsageError(f"{where}={value!r}: a list of names")
        return tuple(value)
    if not _fits(value, kind):
        raise UsageError(f"{where}={value!r}: {_words(kind)}")
    if kind in (int, float) and value < _least(where) and not where.endswith("cycle"):
        raise UsageError(f"{where}={value!r}: {_least(where)} or more")
    return float(value) if kind is float else value


def _fits(value: Any, kind: Any) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and value == value
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return bool(isinstance(value, kind))


def _words(kind: Any) -> str:
    return {bool: "True or False", int: "a whole number", float: "a number", str: "a word"}.get(
        kind, str(kind)
    )


_AT_LEAST_ONE = (
    "repeat_scenario", "n_train_envs", "n_evaluation_envs", "n_steps", "horizon", "hidden_size", "batch_size",
    "policy_update_delay", "target_update_delay", "buffer_size", "initial_buffer_size", "n_rollouts",
    "n_estimations", "n_samples", "n_validation_steps", "k", "selection_rollouts", "inner_epochs",
    "control_every_n_epochs", "repeat_alpha",
)  # fmt: skip


def _least(where: str) -> int:
    name = where.rpartition(".")[2]
    return 2 if name in ("n_timesteps", "buffer_time_size") else int(name in _AT_LEAST_ONE)
