"""Many environments of reinforcement learning at a time, over a few processes, with padded spaces."""

from clrepro.envs.legacy import modern as modern
from clrepro.envs.padded_env import PaddedEnv as PaddedEnv
from clrepro.envs.vector import VectorEnv as VectorEnv
