"""The streams of tasks; see tag_repro.benchmarks."""

from tag_repro.benchmarks import build as build
