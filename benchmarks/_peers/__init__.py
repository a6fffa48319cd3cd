"""The other ways to solve the problem: public packages, and yardsticks in plain JAX and numba."""
