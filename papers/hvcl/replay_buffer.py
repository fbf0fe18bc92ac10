"""Plain replay under the original's file name.  See README.md."""

from hvcl_repro.rl.originals_networks import SpacesReplayBuffer as ReplayBuffer

__all__ = ["ReplayBuffer"]
