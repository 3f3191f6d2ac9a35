"""Runs: their folders, checkpoints, the loop around a step, and where results come from."""
