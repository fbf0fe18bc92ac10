"""What one run of `SAC_main.py` does: the original's flags and our own, in one frozen dataclass."""

from dataclasses import asdict, dataclass
from typing import Any

from hvcl_repro.compat import undone

METHODS = ("hvcl", "dense", "reinit")
FIRST_BETA = 1e-5  # of both KL terms in the first task
EPISODE_SLICE = 100  # steps per environment and phase
ALPHA, BETA_ZERO = 0.7, 0.4  # of the prioritised replay


@dataclass(frozen=True)
class RLSettings:
    """All that decides a run; names and defaults of the first block are the original's (spec 2.1).

    Of ours: method — "dense" fine-tunes plain networks from task to task, "reinit" begins anew with each;
    updates — gradient steps per phase; eval_interval — environment steps between evaluations;
    checkpoint_interval — after so many the state is written and the training environments begin anew, so
    that a continued run equals a straight one.
    """

    hvcl: bool = False
    batch_s: int = 256
    hidden_u: int = 32
    lr: float = 3e-4
    gamma: float = 0.99
    e_beta: float = 1.0
    g_beta: float = 1.0
    polyak_coef: float = 0.995
    train_steps: int = 1_000_000
    replay_start_size: int = 10_000
    buffer_size: int = 1_000_000
    train_interval: int = 5000
    n_exp: int = 2
    k: int = 1
    save_pref: str = ""

    method: str = "dense"
    env_set: str = "pybullet"
    updates: int = 50
    eval_interval: int = 10_000
    eval_episodes: int = 10
    checkpoint_interval: int = 100_000
    compat: str = "fixed"
    seed: int = 1234

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
        return {name: value for name, value in asdict(self).items() if name != "save_pref"}
