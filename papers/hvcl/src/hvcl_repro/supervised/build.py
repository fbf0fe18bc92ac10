"""From the settings of a run to its method: each class is given the keyword arguments that it names."""

from clrepro.seeding import Seeds
from clrepro.settings import keywords
from hvcl_repro.supervised.methods import METHODS, Method
from hvcl_repro.supervised.networks import Networks
from hvcl_repro.supervised.replay import GenerativeReplay
from hvcl_repro.supervised.settings import SupervisedSettings


def make(
    settings: SupervisedSettings, shape: tuple[int, ...], n_classes: int, n_tasks: int, seeds: Seeds
) -> Method:
    """Returns a fresh method.

    Args: shape — of one image; n_classes — outputs of a head; n_tasks — heads, if each task has its own;
    seeds — streams "init/*", "generator/*", "fisher".
    """
    networks = Networks(settings, shape, n_classes, n_tasks, seeds)
    made = METHODS[settings.method]
    options = keywords(made, settings)
    if settings.generative:
        options["replay"] = GenerativeReplay(networks, **keywords(GenerativeReplay, settings))
    return made(networks, **options)
