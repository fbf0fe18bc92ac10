"""The streams of tasks; see tag_repro.streams."""

from tag_repro.streams import Benchmark as Benchmark
from tag_repro.streams import build as build
