"""RewireNeuron: continual reinforcement learning by permuting neurons, with eight peer methods."""
