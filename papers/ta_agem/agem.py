"""A-GEM for any torch model; see ta_agem_repro.agem."""

from ta_agem_repro.agem import AGEMHandler as AGEMHandler
from ta_agem_repro.learning_rate import TALearningRateScheduler as TALearningRateScheduler
