"""The tables; see tag_repro.tensorflow.summary."""

from tag_repro.tensorflow.summary import markdown as markdown
from tag_repro.tensorflow.summary import summarise as summarise
