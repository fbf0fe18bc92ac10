"""The original's networks and noise under its file name.  See README.md."""

from hvcl_repro.rl.originals_networks import ActorNetwork as ActorNetwork
from hvcl_repro.rl.originals_networks import OUNoise as OUNoise
from hvcl_repro.rl.originals_networks import ReplayBuffer as ReplayBuffer
from hvcl_repro.rl.originals_networks import SoftQNetwork as SoftQNetwork
