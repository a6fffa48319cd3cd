"""Measure the library next to its peers, on one and the same problem, answers compared first."""
