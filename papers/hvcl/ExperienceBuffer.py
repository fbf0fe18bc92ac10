"""Prioritised replay under the original's file name.  See README.md."""

from hvcl_repro.rl.experience import BetaSchedule as BetaSchedule
from hvcl_repro.rl.experience import ExperienceBuffer as ExperienceBuffer
