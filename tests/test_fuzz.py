"""Public functions with one argument wrong: each refuses it by name, or its result is right."""

import re
from operator import attrgetter

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from helpers import Compass

import coupling_fn as cf

RNG = np.random.default_rng(5)
N, TIMES = 3, 60
W = np.array([[0.0, 1.0, 0.5], [2.0, 0.0, 0.25], [0.125, 3.0, 0.0]])
X = np.array([0.3, 1.0, 2.0])
LENGTHS = 10.0 + 30.0 * RNG.random((N, N))
SIGNALS = RNG.normal(size=(TIMES, N))
OTHERS = RNG.normal(size=(TIMES, N))
PHASES = np.cumsum(RNG.random((TIMES, N)), axis=0)
FC, FC_2 = np.corrcoef(SIGNALS.T), np.corrcoef(OTHERS.T)
SYMMETRIC = W + W.T
COUPLED = {"source": X, "conn": W, "k": 0.5}
STATES = RNG.integers(0, 3, TIMES)
WINDOWED = {"signals": SIGNALS, "dt": 1.0, "window": 20.0}
AVERAGED = {"signals": SIGNALS, "dt": 1.0, "period": 5.0}
BOLD = {"activity": np.abs(SIGNALS), "dt": 100.0, "period": 500.0}
ALONG = {"of": "S_e", "period": 720.0, "resolution": 2.0}
TIMED = {"amplitude": 2.0, "onset": 1.0, "pattern": X}
NOISE = {"sigma": 0.5, "factor": np.eye(N)}

NET = cf.Network(cf.nodes.linear, 0.1)
PARAMS = cf.Params(cf.nodes.LinearParams(a=-4.0), cf.AdditiveCoupling(W), noise=0.1)
REST = NET, PARAMS, cf.nodes.LinearState(jnp.zeros(N))
WORK = {"step": NET, "state": NET.init(REST[2], PARAMS, key=jax.random.key(0)), "params": PARAMS}
WONG_WANG = {
    "net": cf.Network(cf.nodes.wong_wang_exc_inh, dt=0.1),
    "params": cf.Params(cf.nodes.WongWangExcInhParams(), cf.AdditiveCoupling(W)),
}

# Public functions, each with the arguments of a call that is right.
CALLS = {
    "weighted_sum": {"conn": W, "messages": X},
    "diffusive_coupling": {**COUPLED, "target": X},
    "kuramoto_coupling": {**COUPLED, "target": X},
    "additive_coupling": {**COUPLED, "b": 0.1},
    "sigmoidal_coupling": {**COUPLED, "midpoint": 0.1, "sigma": 2.0},
    "hyperbolic_tangent_coupling": {**COUPLED, "a": 1.0, "sigma": 2.0},
    "sigmoidal_jansen_rit_coupling": {**COUPLED, "r": 0.5},
    "pre_sigmoidal_coupling": {**COUPLED, "theta": 0.1},
    "GammaDelayedCoupling": {
        "coupling": cf.AdditiveCoupling(W),
        "mean": np.array([3.0, 4.0, 5.0]),
        "order": 2,
    },
    "Connectome": {"weights": W, "lengths": LENGTHS, "labels": ["a", "b", "c"]},
    "normalize": {"conn": W, "by": "row"},
    "surgery.symmetrize": {"conn": W},
    "surgery.lesion": {"conn": W, "regions": 1, "extent": 0.5},
    "surgery.isolate": {"conn": W, "regions": np.array([True, False, True]), "extent": 0.5},
    "surgery.weaken": {"conn": W, "edges": W > 1, "extent": 0.5},
    "surgery.add_edge": {"conn": W, "source": 0, "target": 0, "weight": 0.5},
    "surgery.threshold": {"conn": W, "minimum": 0.3},
    "surgery.without_self_connections": {"conn": W},
    "from_source_target": {"conn": W},
    "graph.isolated_nodes": {"conn": W},
    "laplacian_connectivity": {"conn": W, "normalize": False},
    "hybrid.divide": {"conn": W, "subnetworks": {"a": (cf.nodes.linear, ...)}},
    "to_sparse": {"conn": W},
    "sparse_from_edges": {
        "target": np.array([0, 1]),
        "source": np.array([1, 2]),
        "weight": np.array([0.5, 2.0]),
        "shape": (N, N),
    },
    "lags": {"lengths": LENGTHS, "speed": 3.0, "dt": 0.1},
    "lag_bounds": {"lengths": LENGTHS, "speed": 3.0, "dt": 0.1},
    "make_history": {"past": X, "lag": 4, "sources": N},
    "push_history": {"history": jnp.ones((4, N)), "current": jnp.asarray(X)},
    "read_history": {
        "history": jnp.ones((4, N)),
        "current": jnp.asarray(X),
        "lags": np.ones((N, N), int),
    },
    "observe.functional_connectivity": {"signals": SIGNALS},
    "observe.functional_connectivity_dynamics": {
        "signals": SIGNALS,
        "dt": 1.0,
        "window": 20.0,
        "stride": 10.0,
    },
    "observe.fc_correlation": {"fc": FC, "target": FC_2},
    "observe.fc_rmse": {"fc": FC, "target": FC_2},
    "observe.effective_samples": {"signals": SIGNALS},
    "observe.correlation_covariance": {"fc": FC, "samples": 90.0},
    "observe.fc_residuals": {"fc": FC, "target": FC_2, "samples": 90.0, "at": FC_2},
    "observe.fcd_ks": {"fcd": FC, "target": FC_2},
    "observe.lagged_covariance": {"signals": SIGNALS, "dt": 1.0, "lag": 2.0},
    "observe.intersubject_connectivity": {"signals": np.stack([SIGNALS, OTHERS])},
    "observe.intersubject_correlation": {"signals": np.stack([SIGNALS, OTHERS])},
    "observe.global_average": {"signals": SIGNALS},
    "observe.temporal_average": AVERAGED,
    "observe.subsample": AVERAGED,
    "observe.power_spectrum": {"signals": SIGNALS, "dt": 1.0, "window": 20.0},
    "observe.analytic_signal": {"signals": SIGNALS},
    "observe.instantaneous_phase": {"signals": SIGNALS},
    "observe.kuramoto_order_parameter": {"phases": PHASES},
    "observe.synchrony": {"phases": PHASES},
    "observe.chance_synchrony": {"phases": PHASES},
    "observe.metastability": {"phases": PHASES},
    "observe.phase_locking_value": {"phases": PHASES},
    "observe.bandpass": {
        "signals": SIGNALS,
        "dt": 1.0,
        "low": 20.0,
        "high": 200.0,
        "order": 2,
        "padding": 5.0,
    },
    "observe.amplitude_envelope": {"signals": SIGNALS},
    "observe.detrend": {"signals": SIGNALS, "order": 1},
    "observe.zscore": {"signals": SIGNALS},
    "observe.global_signal_regression": {"signals": SIGNALS},
    "observe.band_power": {
        **WINDOWED,
        "bands": {"slow": (50.0, 120.0)},
        "relative": True,
        "overlap": 0.25,
        "taper": "hann",
    },
    "observe.coherence": {**WINDOWED, "band": (50.0, 120.0)},
    "observe.imaginary_coherence": {**WINDOWED, "overlap": 0.25, "taper": "hann"},
    "observe.envelope_correlation": {
        "signals": SIGNALS,
        "leakage": "pairwise",
        "envelope": "power",
    },
    "observe.weighted_phase_lag_index": {"signals": SIGNALS},
    "observe.partial_correlation": {"signals": SIGNALS, "shrinkage": 0.1},
    "observe.ledoit_wolf_shrinkage": {"signals": SIGNALS},
    "observe.leading_eigenvectors": {"phases": PHASES},
    "observe.integration": {"phases": PHASES},
    "observe.ignition": {**WINDOWED, "threshold": 1.0},
    "observe.avalanches": {
        "signals": SIGNALS,
        "dt": 1.0,
        "bin": 2.0,
        "threshold": 1.0,
        "polarity": "both",
    },
    "observe.lempel_ziv_complexity": {"signals": SIGNALS, "threshold": "median"},
    "observe.arrival_times": {"signals": SIGNALS, "dt": 1.0, "onset": 20.0, "fraction": 0.4},
    "observe.to_frame": {"record": SIGNALS, "dt": 1.0, "labels": ["a", "b", "c"]},
    "observe.kmeans": {
        "patterns": SIGNALS,
        "states": 2,
        "key": jax.random.key(0),
        "distance": "euclidean",
        "restarts": 2,
        "iterations": 5,
    },
    "observe.fractional_occupancy": {"labels": STATES, "states": 3},
    "observe.dwell_times": {"labels": STATES, "states": 3, "dt": 2.0},
    "observe.transition_matrix": {"labels": STATES, "states": 3},
    "graph.degree": {"conn": W, "direction": "in"},
    "graph.strength": {"conn": W, "direction": "out"},
    "graph.clustering": {"conn": W},
    "graph.modularity": {"conn": SYMMETRIC},
    "observe.bold_from_balloon": BOLD,
    "observe.bold_from_kernel": {**BOLD, "kernel": np.array([0.5, 0.3, 0.2])},
    "observe.balloon_init": {"activity": np.abs(X)},
    "observe.sensor_signals": {"sources": SIGNALS, "lead_field": W[:2]},
    "observe.fc_correlation_distance": {"fc": FC, "target": FC_2},
    "observe.fc_frobenius": {"fc": FC, "target": FC_2},
    "stimuli.Constant": {"amplitude": 2.0, "pattern": X},
    "stimuli.Step": {**TIMED, "duration": 5.0, "rise": 1.0},
    "stimuli.PulseTrain": {**TIMED, "period": 9.0, "width": 2.0},
    "stimuli.Sine": {"amplitude": 2.0, "frequency": 10.0, "phase": 0.1, "pattern": X},
    "stimuli.Ramp": {**TIMED, "duration": 5.0},
    "stimuli.Sampled": {"values": SIGNALS, "dt": 2.0},
    "noise.Additive": NOISE,
    "noise.OrnsteinUhlenbeck": {**NOISE, "tau": 5.0},
    "noise.Pink": {**NOISE, "low": 0.1, "high": 100.0},
    "noise.correlation_factor": {"correlation": FC},
    "Parcellation": {"labels": np.array([0, 1, 1])},
    "surface.Cortex": {
        "vertices": LENGTHS,
        "triangles": np.array([[0, 1, 2], [0, 2, 1]]),
        "local_connectivity": cf.to_sparse(W),
        "region_mapping": np.array([0, 1, 1]),
        "gain": SIGNALS,
        "sensors": [f"E{i}" for i in range(TIMES)],
    },
    "synthetic_connectome": {"regions": 5, "key": jax.random.key(0)},
    "nodes.AlnTables": {
        "mu": np.arange(4.0),
        "sigma": np.arange(1.0, 4.0),
        "rate": np.ones((4, 3)),
        "V": -np.ones((4, 3)),
        "tau": np.ones((4, 3)),
    },
    "transforms.bounded": {"lower": 0.0, "upper": 1.0},
    "grid": {"k": np.array([0.1, 0.2]), "speed": np.array([1.0, 2.0])},
    "diagnose": {"conn": W, "lengths": LENGTHS, "speed": 3.0, "dt": 0.1},
    "diagnose_run": {"record": SIGNALS, "dt": 0.5},
    "observe.balloon_params": {"variant": "friston2003"},
    "observe.balloon_step": {
        "state": cf.observe.balloon_init(X),
        "activity": X,
        "params": cf.observe.BalloonParams(),
        "dt": 1.0,
        "scheme": "heun",
    },
    "observe.BalloonParams": {"kappa": 0.6, "rho": 0.3},
    "observe.BalloonBold": {**ALONG, "rest": 0.2, "scale": 2.0, "scheme": "heun"},
    "observe.KernelBold": {
        **ALONG,
        "kernel": cf.observe.gamma_kernel,
        "rest": X,
        "scale": 2.0,
        "length": 900.0,
    },
    "observe.Averaged": ALONG,
    "observe.kernel_weights": {"kernel": np.array([0.5, 0.3, 0.2]), "dt": 1.0, "period": 2.0},
    "observe.gamma_kernel": {"t": 100.0, "tau": 1000.0},
    "observe.fcd_wasserstein": {"fcd": FC, "target": FC_2},
    "observe.lagged_covariance_distance": {"signals": SIGNALS, "target": FC, "dt": 1.0, "lag": 2.0},
    "observe.phase_locking_distance": {"phases": PHASES, "target": FC},
    "observe.power_spectrum_distance": {
        "signals": SIGNALS,
        "target": np.ones((11, N)),
        "dt": 1.0,
        "window": 20.0,
    },
    "transforms.low_rank": {"base": W, "rank": 1},
    "transforms.masked": {"mask": W > 0.4},
    "transforms.symmetric": {"regions": N},
    "transforms.regional": {"maps": W[:2]},
    "edge_values": {"conn": cf.to_sparse(W), "values": LENGTHS},
    "balance_inhibition": {**WONG_WANG, "regions": N, "rate": 0.003},
    "search_inhibition": {
        **WONG_WANG,
        "regions": N,
        "key": jax.random.key(0),
        "rate": 0.003,
        "rounds": 2,
        "steps": 4,
    },
    "Network": {
        "node": cf.nodes.hopf,
        "dt": 0.1,
        "lags": np.ones((N, N), int),
        "scheme": "heun",
        "hold": "stage",
    },
    "schemes.RungeKutta": {"a": [[0.5], [0.0, 0.75]], "b": [2 / 9, 1 / 3, 4 / 9]},
    "Params": {"noise": 0.1, "lengths": LENGTHS, "speed": 3.0},
    "at_time": {
        "params": cf.Params(
            cf.nodes.HopfParams(),
            cf.AdditiveCoupling(W),
            time_varying={"coupling.k": cf.stimuli.Ramp()},
        ),
        "t": 5.0,
    },
    "simulate": {**WORK, "steps": 4, "every": 2, "derivative": "reverse", "record": "x"},
    "adapt": {**WORK, "steps": 4, "rule": lambda p, x: p, "stretch": 2, "record": "x"},
    "fit": {
        "loss": lambda p: jnp.sum((p["x"] - 1.0) ** 2),
        "params": {"x": jnp.asarray(X)},
        "where": lambda p: p["x"],
        "steps": 2,
        "patience": 2,
        "tolerance": 0.1,
        "retries": 3,
        "derivative": "reverse",
    },
    "evolve": {
        "loss": lambda p: jnp.sum((p["x"][:2] - 1.0) ** 2),
        "params": {"x": jnp.asarray(X[:2])},
        "where": lambda p: p["x"],
        "key": jax.random.key(0),
        "method": Compass,
        "population": 5,
        "generations": 2,
        "spread": 0.5,
        "patience": 2,
        "tolerance": 0.1,
        "retries": 3,
        "chunk": 2,
    },
    "critical_k": {"net": REST[0], "params": REST[1], "x0": REST[2], "low": 0.001, "high": 9.0},
    "bifurcation": {"net": REST[0], "params": REST[1], "x0": REST[2], "start": 0.001, "end": 9.0},
    "analytic_fc": {"net": REST[0], "params": REST[1], "x0": REST[2], "points": 64},
}


def used(kind):
    """Return a call that builds something which only a run checks closely, and takes a step with it."""

    def call(**given):
        made, key = attrgetter(kind)(cf)(**given), jax.random.key(0)
        noise = made if kind.startswith("noise.") else None
        external = {"x": made} if kind.startswith("stimuli.") else None
        node = made if kind in NODES else cf.nodes.HopfParams()
        model = cf.nodes.catalog()[NODES.get(kind, "hopf")]
        state = model.State(**{name: jnp.asarray(X) for name in model.states})
        net = cf.Network(model, 0.1)
        rule = cf.KuramotoCoupling if model.angles else cf.AdditiveCoupling
        params = cf.Params(node, rule(W), noise, external)
        return net(net.init(state, params, key=key), params).node

    return call


NODES = {}
for name, node in cf.nodes.catalog().items():  # the first two parameters of each stand for all
    kind = f"nodes.{node.Params.__name__}"
    fields = list(node.Params.__dataclass_fields__)[:2]
    NODES[kind] = name
    CALLS[kind] = dict(zip(fields, (0.5, X), strict=False))
USED = {name for name in CALLS if name.startswith(("noise.", "stimuli."))} | {*NODES}
USED -= {"noise.correlation_factor"}  # which returns an array, not a noise

# Other names that an error may give to an argument: those of what it does not fit.
ALSO = {"pattern": "external", "values": "external", "history": "current", "conn": "messages"}
ALSO |= {"signals": "target", "phases": "target"}
ABOVE_0 = {"dt", "speed", "period", "window", "stride", "tau", "low", "high"}


def mistakes(kind, name, good):
    """Yield wrong values for an argument, each with words for it."""
    if isinstance(good, bool):
        yield from {"a word": "yes", "None": None}.items()
    elif isinstance(good, str):
        yield from {"another word": "nonsense", "a number": 3}.items()
    elif isinstance(good, int):
        yield from {"a negative number": -1, "a fraction": 1.5, "a word": "two"}.items()
        yield "an array", np.array([good, good])
    elif isinstance(good, float):
        yield from {"NaN": np.nan, "infinity": np.inf, "complex": 1j, "a word": "x"}.items()
        yield from {"one in an array": np.ones(1), "a column": np.ones((2, 1))}.items()
        if name in ABOVE_0 and kind not in NODES:  # which may take what has no meaning
            yield from {"0": 0.0, "a negative number": -good}.items()
    elif type(good) in (list, tuple):
        yield "an entry less", good[:-1]
    elif isinstance(good, np.ndarray | jax.Array) and good.ndim and good.dtype.kind in "bif":
        good = np.asarray(good)
        yield from {
            "a word": "x",
            "None": None,
            "complex": good * 1j,
            "words": good.astype(str),
        }.items()
        yield from {"an axis more": good[None], "an axis behind": good[..., None]}.items()
        yield from {"an entry less": good[:-1], "empty": good[:0]}.items()
        if kind not in NODES:  # where one for all is right
            yield "a row", good[0]
        if good.ndim > 1:
            yield "a column less", good[..., :-1]
        if np.issubdtype(good.dtype, np.floating):
            for word, value in (("NaN", np.nan), ("infinity", np.inf)):
                bad = good.copy()
                bad.flat[1] = value
                yield word, bad


FEWER = {"an entry less", "a column less", "empty", "a row"}
# What makes another good call: fewer samples or regions, a scalar in place of one per region, ...
RIGHT = {
    "signals": {"an entry less", "a column less"},
    "phases": {"an entry less", "a column less"},
    "record": {"an entry less", "a column less"},
    "patterns": {"an entry less", "a column less"},
    "target": {"a row"},  # of an FCD, its values
    "activity": {"an entry less", "a column less"},
    "sources": {"an entry less"},
    "lead_field": {"an entry less"},
    "kernel": {"an entry less"},
    "labels": {"an entry less", "empty"},
    "conn": {"an entry less", "a column less", "empty"},  # (target, source) need not be square
    "lengths": {
        *FEWER,
        "None",
        "an axis more",
        "an axis behind",
    },  # of whatever edges; or not known
    "lags": {"an entry less", "empty", "None", "a row", "a column less"},
    "messages": {"an axis more"},  # a row is what every target sees
    "history": {"an entry less", "empty", "NaN", "infinity"},  # which need not be read
    "current": {"NaN", "infinity"},
    "past": {"a row"},
    "pattern": {"a row", "None"},
    "factor": {"None", "a column less"},
    "values": {"an entry less", "a row"},
    "source": {"infinity"},  # where a rule saturates
    "k": {"an entry less", "NaN", "infinity", "complex"},  # also an axis of a grid
    "speed": {"an entry less", "complex", "one in an array", "a column", "NaN", "infinity"},
    "dt": {"None"},
    "noise": {"one in an array", "a column"},  # which `init` refuses
    "kappa": {"one in an array", "a column"},
    "of": {"another word"},  # a name that a network may have
    "rest": {"one in an array", "an entry less", "empty", "a row"},  # which a run refuses
    "scale": {"one in an array"},
    "resolution": {"infinity"},
    "t": {"one in an array", "a column", "infinity"},
    "tau": {"one in an array", "a column", "infinity"},
    "sigma": {"infinity"},  # where a rule is flat or a step
    "midpoint": {"infinity"},
    "theta": {"infinity"},
    "r": {"infinity"},
    "base": {"an entry less", "a column less"},
    "mask": {"an entry less", "a column less"},
    "maps": {"an entry less", "a column less", "empty", "a row"},
    "at": {"None"},
    "triangles": {"an entry less"},
    "low": {"0", "a negative number"},  # a k; of noise it is above 0
}
# Arguments of which only a part is read, or only the shape.
UNREAD = {(cf.observe.subsample, "signals"), (cf.observe.balloon_init, "activity")}


@pytest.mark.every(32)
@pytest.mark.parametrize("name", sorted(CALLS))
def test_an_argument_that_is_wrong_is_refused_by_name(name):
    call, good = used(name) if name in USED else attrgetter(name)(cf), CALLS[name]
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        call(**good)
        told = [
            f"{argument} is {what}: {why}"
            for argument, value in good.items()
            for what, bad in mistakes(name, argument, value)
            if (why := passes(name, call, good, argument, what, bad))
        ]
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
    assert not told, "\n".join(told)


def passes(name, call, good, argument, what, bad):
    """Return None where an argument is refused by name or the result shows it, else what happened."""
    try:
        with np.errstate(all="ignore"):
            result = call(**{**good, argument: bad})
    except (TypeError, ValueError, FloatingPointError, UserWarning) as error:
        names = "|".join(map(re.escape, (argument, ALSO.get(argument, argument))))
        named = re.search(rf"`[^`]*\b({names})\b", str(error))
        return None if named else f"{type(error).__name__}: {str(error)[:150]}"
    right = {"infinity"} if name in USED else set()  # a time constant may be infinite
    if what in right | RIGHT.get(argument, set()) or (call, argument) in UNREAD:
        return None
    if isinstance(result, cf.Report):  # which says what is wrong
        return None
    numbers = [x for x in map(np.asarray, jax.tree.leaves(result)) if x.dtype.kind in "fc"]
    if what in ("NaN", "infinity") and not all(np.isfinite(x).all() for x in numbers):
        return None
    return f"gives {result}"
