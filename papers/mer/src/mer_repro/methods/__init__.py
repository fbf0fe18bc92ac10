"""The ten learners by their command-line names.  A new one is a class in a file of its family and a line
here.
"""

from mer_repro.methods.ewc import EWC
from mer_repro.methods.gem import GEM
from mer_repro.methods.independent import Independent
from mer_repro.methods.online import Online
from mer_repro.methods.replay import BalancedReplay, MergedReplay
from mer_repro.methods.reptile import MERCurrentRate, MEROneRate, MERTwoRates
from mer_repro.methods.taskinput import TaskInput

Method = (
    Online
    | Independent
    | TaskInput
    | EWC
    | GEM
    | MergedReplay
    | BalancedReplay
    | MERTwoRates
    | MEROneRate
    | MERCurrentRate
)

METHODS: dict[str, type[Method]] = {
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
}
