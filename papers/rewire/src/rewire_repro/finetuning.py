"""PackNet's second phase: the task's own share of the network, trained from the replay buffer alone."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from rewire_repro.agents.packnet import PacknetActionAgent
from rewire_repro.networks import TwinCritics
from rewire_repro.replay import Replay
from rewire_repro.rng import Rngs
from rewire_repro.sac import Sac
from rewire_repro.settings import FineTuneSettings

LOOK_EVERY = 100  # updates between two looks at the losses, and at whether a checkpoint is due


class FineTuning:
    """`iterations` SAC updates of a pruned agent; `run` goes on from wherever `load` has put it.

    Args: log_alpha — the temperature's logarithm (1,) to start with, that of the training before.
    Differs from the original (`faithful` restores it): the temperature goes on from the training's, not from
    its initial value; the target critics follow at every update, not only with the policy.
    """

    def __init__(
        self,
        agent: PacknetActionAgent,
        critic: TwinCritics,
        values: FineTuneSettings,
        rngs: Rngs,
        faithful: bool,
        log_alpha: Tensor,
    ) -> None:
        self.values, self.rngs, self.done = values, rngs, 0
        self.sac = Sac(agent, critic, values, rngs, faithful, "finetune", targets_with_policy=faithful)
        if not faithful:
            self.sac.log_alpha.data.copy_(log_alpha.detach())

    def run(self, replay: Replay, watch: Callable[[], None]) -> None:
        """Train to the end; `watch` is called every `LOOK_EVERY` updates.

        Raises: FloatingPointError in one line for losses that are no numbers.
        """
        rng = self.rngs.numpy("replay")
        while self.done < self.values.iterations:
            self.sac.update(replay.sample(self.values.batch_size, rng))
            self.done += 1
            if self.done % LOOK_EVERY == 0 or self.done == self.values.iterations:
                if not self.sac.finite():
                    raise FloatingPointError(
                        f"update {self.done} of the fine-tuning: the critic has diverged"
                    )
                watch()
        self.sac.release()

    def state(self) -> dict[str, Any]:
        """Returns learner and count (agent, critic, buffer and generators save themselves)."""
        return {"sac": self.sac.state(), "done": self.done}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.sac.load(state["sac"])
        self.done = int(state["done"])
