"""The learners by their command-line names.  A new one is a class in a file of its own and a line here; flags
of its own stand beside it, in a dataclass `Options`.
"""

from typing import Any

from mer_repro.methods.derpp import DERPlusPlus
from mer_repro.methods.ewc import EWC
from mer_repro.methods.gem import GEM
from mer_repro.methods.independent import Independent
from mer_repro.methods.online import Online
from mer_repro.methods.replay import BalancedReplay, MergedReplay
from mer_repro.methods.reptile import MERCurrentRate, MEROneRate, MERTwoRates
from mer_repro.methods.taskinput import TaskInput

METHODS: dict[str, Any] = {
    "online": Online,
    "independent": Independent,
    "taskinput": TaskInput,
    "ewc": EWC,
    "gem": GEM,
    "eralg4": MergedReplay,
    "eralg5": BalancedReplay,
    "meralg1": MERTwoRates,
    "meralg6": MEROneRate,
    "meralg7": MERCurrentRate,
    "derpp": DERPlusPlus,
}
