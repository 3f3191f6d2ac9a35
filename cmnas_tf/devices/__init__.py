"""Devices and processes: what computes a run, and what has to be summed over it."""
