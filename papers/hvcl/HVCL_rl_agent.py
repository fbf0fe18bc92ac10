"""The original's `Agent` under its file name.  See README.md."""

from hvcl_repro.rl.originals_api import Agent as Agent
