"""From the settings of a run to its method: each class is given the keyword arguments that it names."""

from dataclasses import replace
from typing import Any

from clrepro.seeding import Seeds
from clrepro.settings import keywords
from hvcl_repro.supervised.benchmarks import TaskStream
from hvcl_repro.supervised.methods import METHODS, Method
from hvcl_repro.supervised.networks import Networks
from hvcl_repro.supervised.replay import GenerativeReplay
from hvcl_repro.supervised.samples import Judge, judge_seeds, train_judge
from hvcl_repro.supervised.settings import SupervisedSettings


def make(
    settings: SupervisedSettings, shape: tuple[int, ...], n_classes: int, n_tasks: int, seeds: Seeds
) -> Method:
    """Returns a fresh method.

    Args: shape — of one image; n_classes — outputs of a head; n_tasks — heads, if each task has its own;
    seeds — streams "init/*", "generator/*", "fisher".
    """
    heads = n_tasks if settings.heads == "task" else 1
    networks = Networks(shape, n_classes, heads, seeds, **_sizes(settings))
    made = METHODS[settings.method]
    options = keywords(made, settings)
    if settings.generative:
        options["replay"] = GenerativeReplay(networks, **keywords(GenerativeReplay, settings))
    return made(networks, **options)


def _sizes(settings: SupervisedSettings) -> dict[str, Any]:
    """What `Networks` is told of the settings.

    The KL terms are sums over all weights; their weights are set per task, divided by its number of images.
    """
    moves = {
        "k": settings.k, "diversity_bonus": settings.bonus, "rho_init": settings.rho_init,
        "rho_sharing": "node" if settings.method == "ucl" else settings.rho_sharing,
        "noise": settings.noise, "kl_reduction": "sum_over_n", "compat": settings.compat,
    }  # fmt: skip
    own = {"noise": settings.generator_noise, "diversity_bonus": settings.generator_bonus}
    return {
        "hidden": settings.hidden,
        "width": settings.width if settings.convolutional else None,
        "experts": settings.experts if settings.bayesian else 0,
        "moves": moves,
        "generator": {
            "hidden": settings.generator_hidden, "experts": settings.generator_exp,
            "latent": settings.latent, "moves": moves | own,
        },
    }  # fmt: skip


def make_judge(settings: SupervisedSettings, benchmark: TaskStream) -> Judge | None:
    """Returns who judges the generator's samples, trained with the run's sizes, epochs (not steps) and rate;
    None if no generator is trained.
    """
    if not settings.generative:
        return None
    seeds = judge_seeds(settings.seed)
    n_kinds = len(benchmark.stream) * benchmark.n_classes
    joint = make(replace(settings, method="joint", heads="shared"), benchmark.shape, n_kinds, 1, seeds)
    shuffle = seeds.generator("shuffle")
    return train_judge(joint, benchmark, shuffle, epochs=settings.epochs, batch=settings.batch)
