"""The tables; see tag_repro.tf.summary."""

from tag_repro.tf.summary import markdown as markdown
from tag_repro.tf.summary import summarise as summarise
