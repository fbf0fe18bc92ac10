"""What one run of `SAC_main.py` does: the original's flags and our own, in one frozen dataclass."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clrepro.errors import UsageError
from clrepro.settings import check, fingerprint, option
from hvcl_repro.compat import PARTS, undone
from hvcl_repro.program import compat_help, compat_text
from hvcl_repro.rl.environments import SETS

METHODS = ("hvcl", "dense", "reinit")
FIRST_BETA = 1e-5  # of both KL terms in the first task
EPISODE_SLICE = 100  # steps per environment and phase
ALPHA, BETA_ZERO = 0.7, 0.4  # of the prioritised replay


FROM_ZERO, ABOVE_ZERO, FROM_ONE, SHARE = "[0, inf)", "(0, inf)", "[1, inf)", "[0, 1]"


@dataclass(frozen=True)
class RLSettings:
    """All that decides a run; names and defaults down to `save_pref` are the original's (spec 2.1).

    method — "dense" fine-tunes plain networks from task to task, "reinit" begins anew with each;
    checkpoint_interval — after so many steps the state is written and the training environments begin anew,
    so that a continued run equals a straight one.  Raises: UsageError for a value out of range.
    """

    hvcl: bool = option(False, "MoVE networks in actor and critics", flag=False)
    batch_s: int = option(256, "transitions per update", within=FROM_ONE)
    hidden_u: int = option(32, "units per hidden layer", within=FROM_ONE)
    lr: float = option(3e-4, "learning rate of Adam", within=ABOVE_ZERO)
    gamma: float = option(0.99, "discount", within=SHARE)
    e_beta: float = option(1.0, "weight of the experts' KL from the second task on", within=FROM_ZERO)
    g_beta: float = option(1.0, "weight of the gates' KL from the second task on", within=FROM_ZERO)
    polyak_coef: float = option(0.995, "share of a target network that stays at each update", within=SHARE)
    train_steps: int = option(1_000_000, "environment steps per task", within=FROM_ONE)
    replay_start_size: int = option(10_000, "transitions before the first update", within=FROM_ONE)
    buffer_size: int = option(1_000_000, "transitions remembered, per task", within=FROM_ONE)
    train_interval: int = option(
        5000, "environment steps between update phases; a hundredth of it environments", within=FROM_ONE
    )
    n_exp: int = option(2, "experts per MoVE layer", within=FROM_ONE)
    k: int = option(1, "experts per example, at most n_exp", within=FROM_ONE)
    save_pref: str = option("", "prefix of the result file's name", decides=False)

    method: str = option("dense", "dense is fine-tuned, reinit has new networks per task", choices=METHODS)
    env_set: str = option("pybullet", "sequence of environments", choices=tuple(SETS))
    updates: int = option(50, "gradient steps per phase", within=FROM_ONE)
    eval_interval: int = option(10_000, "environment steps between evaluations", within=FROM_ONE)
    eval_episodes: int = option(10, "episodes per evaluation", within=FROM_ONE)
    checkpoint_interval: int = option(100_000, "environment steps between checkpoints", within=FROM_ONE)
    compat: str = option("fixed", compat_help(PARTS), parse=compat_text)
    seed: int = option(1234, "of every random choice", within=FROM_ZERO)

    def __post_init__(self) -> None:
        check(self)
        if Path(self.save_pref).name != self.save_pref:
            raise UsageError(f"--save_pref {self.save_pref!r}: a name without folders; use --out_dir")

    def original(self, part: str) -> bool:
        """Whether this part is to be as in the original, see `hvcl_repro.compat`."""
        return part in undone(self.compat)

    @property
    def n_envs(self) -> int:
        """Training environments, from the interval as in the original."""
        return self.train_interval // EPISODE_SLICE

    @property
    def experts_per_example(self) -> int:
        """k, at most n_exp."""
        return min(self.n_exp, self.k)

    @property
    def file_name(self) -> str:
        """Name of the result file, the original's to the letter."""
        kind = "vmoe" if self.hvcl else "dense"
        return (
            f"{self.save_pref}_no_contreplay_prio_replay_weighted_{kind}_{self.n_exp}_exp_{self.experts_per_example}_k_"
            f"{self.hidden_u}_units_{self.g_beta:.3f}_gb_{self.e_beta:.3f}_eb_1M_soft_deep_norms_eval_baselines.npy"
        )

    def fingerprint(self) -> dict[str, Any]:
        """Returns the settings for the record, plain values."""
        return fingerprint(self)
