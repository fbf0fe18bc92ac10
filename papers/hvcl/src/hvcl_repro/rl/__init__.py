"""Continual reinforcement learning: soft actor-critic with MoVE networks over a sequence of environments."""
