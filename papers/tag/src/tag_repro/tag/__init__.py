"""The TAG driver: `main.py`, its methods and its loop."""
