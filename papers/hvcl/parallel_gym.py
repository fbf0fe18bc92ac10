"""Parallel environments under the original's file name.  See README.md."""

from hvcl_repro.rl.parallel import SubprocVecEnv as SubprocVecEnv
from hvcl_repro.rl.parallel import make_mp_envs as make_mp_envs
