"""What one run of `UCL_EWC_RL/main_rl.py` does.  Spec 2.2."""

from dataclasses import asdict, dataclass
from typing import Any

APPROACHES = ("fine-tuning", "ewc", "ucl")


@dataclass(frozen=True)
class PPOSettings:
    """The original's flags that do something, and ours.

    Of ours: hidden — units of both tanh layers, 16 in the original; heads — "multi": a head of each kind per
    task, as the original, which is therefore told the task; "single": one for all; fisher_samples — states
    for EWC's Fisher information; eval_episodes.
    """

    approach: str = "ucl"
    lr: float = 3e-4
    eps: float = 1e-5
    gamma: float = 0.99
    gae_lambda: float = 0.95
    entropy_coef: float = 0.0
    value_loss_coef: float = 0.5
    max_grad_norm: float = 0.5
    num_processes: int = 128
    num_steps: int = 64
    ppo_epoch: int = 10
    num_mini_batch: int = 64
    clip_param: float = 0.2
    eval_interval: int = 10
    num_env_steps: int = 5_000_000
    use_linear_lr_decay: bool = True
    use_proper_time_limits: bool = False
    single_task: bool = False
    ewc_lambda: float = 5000.0
    ewc_online: bool = False
    ucl_rho: float = -2.2522
    ucl_beta: float = 0.001
    seed: int = 1
    date: str = ""
    experiment: str = "roboschool"

    env_set: str = "pybullet"
    heads: str = "multi"
    hidden: int = 16
    eval_episodes: int = 10
    fisher_samples: int = 1000

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
        return {name: value for name, value in asdict(self).items() if name != "date"}
