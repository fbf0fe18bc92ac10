"""A method's way through the tasks: what happens before, after and around SAC.

OneStep: SAC alone.  TwoSteps: then an algorithm on the replay buffer (L2, EWC, PackNet's pruning).  Subspace:
then a choice of the combination.  Rewire: returns measured before and after, the best mode kept or all
undone.
"""

from typing import Any

import numpy as np
import torch

from rewire_repro import alpha_search
from rewire_repro.agents.ewc import EWCActionAgent
from rewire_repro.agents.packnet import PacknetActionAgent
from rewire_repro.agents.rewire import RewireActionAgent
from rewire_repro.agents.subspace import SubspaceActionAgent
from rewire_repro.finetuning import FineTuning
from rewire_repro.framework import Framework as Framework
from rewire_repro.scenarios import Scenario, Task, VectorEnv
from rewire_repro.settings import Settings
from rewire_repro.train import Training


class OneStep(Framework):
    """SAC alone: ft_1, sac_n, ft_n, pnn."""


class TwoSteps(Framework):
    """SAC, then an algorithm of the method's own on the replay buffer: ft_l2, ewc, packnet."""

    tuning: FineTuning | None = None
    _tuned: dict[str, Any] | None = None  # a checkpoint from the middle of it

    def finish(self, task: Task, env: VectorEnv, training: Training) -> None:
        """EWC: Fisher information; PackNet: prune, then train the task's share alone; L2: nothing more."""
        if isinstance(self.agent, EWCActionAgent):
            batch = training.replay.sample(self.settings.fisher_samples, self.rngs.numpy("fisher"))
            self.agent.add_fisher(batch.obs)
        if isinstance(self.agent, PacknetActionAgent):
            self._prune_and_tune(self.agent, training)
        super().finish(task, env, training)

    def _prune_and_tune(self, agent: PacknetActionAgent, training: Training) -> None:
        values = self.settings.finetune
        assert values is not None, "packnet needs algorithm2 = PruneAndFinetune"
        if not agent.pruned:
            agent.prune()
        self.tuning = FineTuning(
            agent, self.critic, values, self.rngs, self.settings.paper_faithful, training.sac.log_alpha
        )
        if self._tuned is not None:
            self.tuning.load(self._tuned)
            self._tuned = None
        self.tuning.run(training.replay, self.save_if_due)
        self.tuning = None

    def state(self) -> dict[str, Any]:
        """Returns everything, also in the middle of the fine-tuning."""
        return {**super().state(), "tuning": None if self.tuning is None else self.tuning.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        super().load(state)
        self._tuned = state.get("tuning")


class Subspace(Framework):
    """CSP: a new anchor and new critics per task, then the choice whether the anchor stays."""

    agent: SubspaceActionAgent

    def begin(self, task: Task, env: VectorEnv) -> None:
        """New anchor; critics for the wider input."""
        super().begin(task, env)
        if self.stage:
            self.critic = self._fresh_critic()

    def n_steps(self, task: Task) -> int:
        """Returns the task's steps less those that the choice will take."""
        values = self.settings.search
        assert values is not None, "csp needs alpha_search"
        return max(1, super().n_steps(task) - values.n_rollouts * values.n_validation_steps)

    def finish(self, task: Task, env: VectorEnv, training: Training) -> None:
        """Choose, and drop the anchor if it does not help."""
        assert self.settings.search is not None
        found = alpha_search.search(
            *(self.agent, self.critic, training.replay, env, self.settings.search, self.rngs),
            self.rngs.seeds.integer(f"env/search/{task.task_id}"),
            self.settings.paper_faithful,
        )
        self.interactions["selection"] += found.steps
        self.agent.choose(found.alpha, found.keep)
        super().finish(task, env, training)

    def evaluate(self, tasks: list[Task]) -> dict[int, dict[str, float]]:
        """Returns what others do and, if `oracle_rollouts` is above 0, `oracle_reward`: the best mean return
        of so many combinations drawn evenly from the whole subspace, each played on the task itself.
        """
        out, n = super().evaluate(tasks), self.agent.values.oracle_rollouts
        for task in tasks if n else ():
            alphas = self.rngs.numpy("oracle").dirichlet(np.ones(len(self.agent.anchors)), n)
            played = [
                self.deterministic(task, self.agent.mixed_actor(alpha.tolist()), 1, "eval", "/oracle")
                for alpha in alphas
            ]
            out[task.task_id]["oracle_reward"] = max(float(one.returns.mean()) for one in played)
        return out


class Rewire(Framework):
    """Rewire: keep the best of the K modes, or undo the task if none is better than before it."""

    agent: RewireActionAgent

    def begin(self, task: Task, env: VectorEnv) -> None:
        """The return before the task, from its second on."""
        super().begin(task, env)
        if self.stage:
            self.before = self._return_of(task, 0)

    def finish(self, task: Task, env: VectorEnv, training: Training) -> None:
        """Choose a mode, consolidate, cache its wiring."""
        if self.stage:
            threshold = self.settings.improvement_threshold
            after = [self._return_of(task, k) for k in range(self.agent.values.k)]
            self.agent.best = int(np.argmax(after))
            needed = self.before + threshold * (
                self.before if self.settings.paper_faithful else abs(self.before)
            )
            if max(after) < needed:
                self.agent.roll_back()
        self.agent.consolidate()
        super().finish(task, env, training)

    def _return_of(self, task: Task, mode: int) -> float:
        """The mean return of a mode as it is now, over the selection's rollouts."""
        n, steps = self.settings.selection_rollouts, self.settings.selection_steps or None
        actor = self.agent.mode_actor(mode)
        done = self.deterministic(task, actor, n, "selection", max_steps=steps)
        return float(done.returns.mean())


FRAMEWORKS: dict[str, type[Framework]] = {one.__name__: one for one in (OneStep, TwoSteps, Subspace, Rewire)}


def make_framework(settings: Settings, scenario: Scenario, device: torch.device) -> Framework:
    """Returns the framework that the configuration names, with its agent and critic."""
    return FRAMEWORKS[settings.framework](settings, scenario, device)
