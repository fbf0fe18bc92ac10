"""Stable SGD: `stable_sgd/main.py`, its learners and its loop."""
