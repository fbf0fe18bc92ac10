"""Figures and timers; see ta_agem_repro.visualizer."""

from ta_agem_repro.visualizer import TAGemVisualizer as TAGemVisualizer
from ta_agem_repro.visualizer import Timer as Timer
