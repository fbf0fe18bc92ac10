"""What one run of `UCL_EWC_RL/main_rl.py` does.  Spec 2.2."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clrepro.errors import UsageError
from clrepro.settings import check, dashed, fingerprint, option, underscored
from hvcl_repro.rl.environments import SETS

APPROACHES = ("fine-tuning", "ewc", "ucl")


UNDERSCORED = ("env_set", "eval_episodes", "fisher_samples")  # our own flags
FROM_ZERO, ABOVE_ZERO, FROM_ONE = "[0, inf)", "(0, inf)", "[1, inf)"


def spell(name: str) -> str:
    """The flag of a field: the original's have dashes."""
    return underscored(name) if name in UNDERSCORED else dashed(name)


@dataclass(frozen=True)
class PPOSettings:
    """The original's flags that do something, and from `env_set` on ours.

    heads — "multi": a head of each kind per task, as the original, which is so told the task; "single":
    one for all.  Raises: UsageError for a value out of range, or if nothing would be trained.
    """

    approach: str = option("ucl", "what holds the policy", choices=APPROACHES)
    lr: float = option(3e-4, "learning rate of Adam", within=ABOVE_ZERO)
    eps: float = option(1e-5, "epsilon of Adam", within=FROM_ZERO)
    gamma: float = option(0.99, "discount", within=FROM_ZERO)
    gae_lambda: float = option(0.95, "lambda of the generalised advantage", within=FROM_ZERO)
    entropy_coef: float = option(0.0, "weight of the entropy", within=FROM_ZERO)
    value_loss_coef: float = option(0.5, "weight of the value's loss", within=FROM_ZERO)
    max_grad_norm: float = option(0.5, "largest norm of a gradient", within=FROM_ZERO)
    num_processes: int = option(128, "environments at a time", within=FROM_ONE)
    num_steps: int = option(64, "steps of each between updates", within=FROM_ONE)
    ppo_epoch: int = option(10, "passes over the steps of an update", within=FROM_ONE)
    num_mini_batch: int = option(64, "batches of a pass", within=FROM_ONE)
    clip_param: float = option(0.2, "how far the ratio of densities may go from 1", within=FROM_ZERO)
    eval_interval: int = option(10, "updates between evaluations", within=FROM_ONE)
    num_env_steps: int = option(5_000_000, "environment steps per task", within=FROM_ONE)
    use_linear_lr_decay: bool = option(True, "whether the rate falls to 0")
    use_proper_time_limits: bool = option(False, "whether a time limit is no end")
    single_task: bool = option(False, "whether only the first task is trained")
    ewc_lambda: float = option(5000.0, "strength of EWC", within=FROM_ZERO)
    ewc_online: bool = option(False, "whether EWC keeps one sum for all tasks")
    ucl_rho: float = option(-2.2522, "spread of UCL's weights at the start, before softplus")
    ucl_beta: float = option(0.001, "weight of UCL's term for the deviations", within=FROM_ZERO)
    seed: int = option(1, "of every random choice", within=FROM_ZERO)
    date: str = option("", "the first part of the files' names", decides=False)
    experiment: str = option("roboschool", "the sequence of environments", choices=("roboschool",))

    env_set: str = option("pybullet", "which of our sequences it is", choices=tuple(SETS))
    heads: str = option("multi", "a head per task, or one for all", choices=("multi", "single"))
    hidden: int = option(16, "units of both tanh layers", within=FROM_ONE)
    eval_episodes: int = option(10, "episodes per evaluation", within=FROM_ONE)
    fisher_samples: int = option(1000, "states for EWC's Fisher information", within=FROM_ONE)

    def __post_init__(self) -> None:
        check(self, spell)
        if self.updates < 1:
            raise UsageError(
                f"--num-env-steps {self.num_env_steps}: less than one update of "
                f"{self.num_steps} × {self.num_processes}"
            )
        if Path(self.date).name != self.date:
            raise UsageError(f"--date {self.date!r}: a name without folders")

    @property
    def updates(self) -> int:
        """Updates per task."""
        return self.num_env_steps // self.num_steps // self.num_processes

    @property
    def log_name(self) -> str:
        """The stem of all file names, the original's."""
        extra = {"ewc": f"_lamb_{self.ewc_lambda:g}", "ucl": f"_lamb_{self.ucl_rho:g}_mu_{self.ucl_beta:g}"}
        return f"{self.date}_{self.experiment}_{self.approach}_{self.seed}{extra.get(self.approach, '')}_conv"

    def fingerprint(self) -> dict[str, Any]:
        """Returns the settings for the record, plain values."""
        return fingerprint(self)
