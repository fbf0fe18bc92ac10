"""The streams of tasks; see tag_repro.benchmarks."""

from tag_repro.benchmarks import Benchmark as Benchmark
from tag_repro.benchmarks import build as build
