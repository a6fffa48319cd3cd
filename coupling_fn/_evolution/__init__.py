"""Fits of losses without a gradient, by methods that evolve a population."""

from ._evolve import evolve as evolve
