"""Files that survive: atomic writes, locks, checkpoints; strict readers of what others wrote."""
