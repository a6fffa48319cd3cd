"""What each measure of signals needs in memory for 84 regions and 60 000 samples, as docstrings say."""

import jax
import jax.numpy as jnp
import pytest

import coupling_fn as cf

LONG = jax.ShapeDtypeStruct((60_000, 84), "float32")  # 20 MB
BAND = 8.0, 13.0
# How many records of memory the program needs beside its argument, and its gradient needs.
COSTS = {
    "envelope_correlation": (cf.observe.envelope_correlation, 9, 27),
    "bandpass": (lambda x: cf.observe.bandpass(x, 1.0, *BAND), 5, 7),
    "weighted_phase_lag_index": (cf.observe.weighted_phase_lag_index, 8, 11),
    "coherence": (lambda x: cf.observe.coherence(x, 1.0, 2000.0)[1], 8, 18),
    "amplitude_envelope": (cf.observe.amplitude_envelope, 6, 8),
    "band_power": (lambda x: cf.observe.band_power(x, 1.0, 2000.0)["alpha"], 5, 7),
    "partial_correlation": (cf.observe.partial_correlation, 2, 11),
    "leading_eigenvectors": (cf.observe.leading_eigenvectors, 4, 5),
    "ignition": (lambda x: cf.observe.ignition(x, 1.0, 4.0).mean, 6, 8),
    "detrend": (cf.observe.detrend, 2, 3),
    "zscore": (cf.observe.zscore, 2, 3),
    "global_signal_regression": (cf.observe.global_signal_regression, 3, 6),
    "avalanches": (lambda x: cf.observe.avalanches(x, 1.0, 4.0), 3, None),
    "lempel_ziv_complexity": (cf.observe.lempel_ziv_complexity, 2, None),
    "kmeans": (lambda x: cf.observe.kmeans(x, 5, key=jax.random.key(0)), 3, None),
}


def records(function):
    memory = jax.jit(function).lower(LONG).compile().memory_analysis()
    return (memory.temp_size_in_bytes + memory.output_size_in_bytes) / (60_000 * 84 * 4)


@pytest.mark.optimised
@pytest.mark.every(40)
@pytest.mark.parametrize("name", COSTS)
def test_a_long_record_needs_a_few_times_its_memory(name):
    measure, most, with_gradient = COSTS[name]
    assert records(measure) < most
    if with_gradient is not None:
        assert records(jax.grad(lambda x: jnp.square(measure(x)).sum())) < with_gradient
