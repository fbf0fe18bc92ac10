"""The streams of tasks; see tag_repro.streams."""

from tag_repro.streams import build as build
from tag_repro.task_stream import TaskStream as TaskStream
