"""The learner that a command line asks for: a method around an engine.

Here the settings end: each argument comes from the field of its name.
"""

from typing import Any

from clrepro.seeding import Seeds
from clrepro.settings import keywords
from ta_agem_repro.methods import METHODS
from ta_agem_repro.methods.agem import AGEM
from ta_agem_repro.networks import initial_layers
from ta_agem_repro.settings import Settings


def make_learner(settings: Settings, seeds: Seeds) -> AGEM:
    """Returns the learner, fresh; its engine is the compiled one or plain torch (always so on a GPU).

    Args: seeds — streams "init", "memory" and "draw".
    """
    layers = initial_layers(seeds.generator("init"), **keywords(initial_layers, settings))
    if settings.engine == "reference" or (settings.engine == "auto" and settings.device != "cpu"):
        from ta_agem_repro.reference_engine import ReferenceEngine

        engine: Any = ReferenceEngine(layers, settings.memory_capacity, settings.device)
    else:
        from ta_agem_repro.fused_engine import FusedEngine

        engine = FusedEngine(layers, settings.memory_capacity)
    kind = METHODS[settings.method]
    own = keywords(AGEM, settings) | keywords(kind, settings)
    learner: AGEM = kind(engine, seeds.generator("memory"), seeds.generator("draw"), **own)
    return learner
