"""Trajectories of the field's simulators, recorded once: what was run, by whom, and the values."""
