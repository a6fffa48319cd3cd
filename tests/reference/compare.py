"""Run the recorded cases in coupling_fn, and measure how far it is from what was recorded."""

import warnings
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import coupling_fn as cf

from .cases import CASES, STEPS, start


@cache
def recorded() -> dict[str, np.ndarray]:
    """Return what the simulators computed, by case and scheme."""
    found = {}
    for name in {case.file for case in CASES.values()}:
        with np.load(Path(__file__).with_name(f"{name}.npz")) as file:
            found |= dict(file)
    return found


def ours(
    name: str, scheme: str, *, k: float = 1.0, weights: np.ndarray | None = None
) -> np.ndarray:
    """Compute the states `(time, state, region)` after every `case.every` steps, in float64.

    `k` multiplies every coupling strength, and `weights` replaces the recorded weights: so a test
    can see that the comparison notices.
    """
    case, file = CASES[name], recorded()
    weights = file["weights"] if weights is None else weights
    node = cf.nodes.catalog()[case.node]
    wires, couplings = {}, {}
    for i, (source, into, factor) in enumerate(case.links):
        args = {**case.args, "k": k * factor * case.args["k"]}
        if "b" in args and case.rule == "AdditiveCoupling":
            args["b"] *= k * factor
        wires[f"{into}{i}"] = cf.Wire(source, into)
        couplings[f"{into}{i}"] = getattr(cf, case.rule)(weights, **args)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* rounded to 0")  # of one edge on purpose
        lags = cf.lags(file["lengths"], speed=case.speed, dt=case.dt)
    net = cf.Network(
        node,
        dt=case.dt,
        couplings=wires,
        lags=lags,
        scheme=scheme,
        hold="step",  # as both simulators do
        **({"angles": "grow"} if node.angles else {}),  # they take no turns off
    )
    params = cf.Params(node.Params(**case.ours), couplings)
    # By default each region has always been where it starts.
    state = net.init(node.State(*jnp.asarray(start(case))), params)
    x = cf.simulate(net, state, params, STEPS, every=case.every)[1]
    return np.stack(jax.device_get(x), axis=1)


def error(name: str, scheme: str, **changes) -> float:
    """Return the largest difference of any state, relative to the largest value of that state."""
    reference = recorded()[f"{name}-{scheme}"]
    size = np.abs(reference).max(axis=(0, 2), keepdims=True)
    off = np.abs(ours(name, scheme, **changes) - reference) / size
    states = cf.nodes.catalog()[CASES[name].node].states
    return float(off[:, [x not in CASES[name].apart for x in states]].max())


def uncoupled(name: str, scheme: str) -> float:
    """Return how far the simulator's trajectory is from its own without coupling, by that measure."""
    return float(recorded()[f"{name}-{scheme}-uncoupled"])
