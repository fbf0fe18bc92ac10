"""The methods by their command-line names.  A new one is a class in a file of its own and a line here."""

from functools import partial
from typing import Any

from ta_agem_repro.methods.clusters import TAAGEM
from ta_agem_repro.methods.reservoirs import ReservoirAGEM
from ta_agem_repro.methods.sgd import SGD

METHODS: dict[str, Any] = {
    "ta-agem": TAAGEM,
    "sgd": SGD,
    "agem-random": partial(TAAGEM, at_random=True),
    "agem-reservoir": ReservoirAGEM,
    "paper": partial(TAAGEM, policy="paper"),
}
