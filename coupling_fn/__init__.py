"""The coupling layer of whole-brain modelling as pure functions on JAX."""

__version__ = "0.1.0"
