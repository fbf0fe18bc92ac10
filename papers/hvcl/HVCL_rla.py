"""The original's `SAC` under its file name.  See README.md."""

from hvcl_repro.rl.originals_api import SAC as SAC
