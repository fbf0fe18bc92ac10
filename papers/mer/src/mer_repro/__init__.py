"""Meta-Experience Replay (Riemer et al., ICLR 2019): the ten learners and their command line."""
