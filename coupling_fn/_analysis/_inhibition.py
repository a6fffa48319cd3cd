r"""The feedback inhibition at which every region fires at one rate, without noise and with it.

Without noise the balanced state has a closed form up to scalar roots. With noise the mean rates are
those of a run, so J_i is searched for by running, as in the model's source.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from .._core import (
    PerTarget,
    PyTree,
    Scalar,
    as_count,
    compiled,
    known,
    read,
    require_one_or_each,
    require_positive,
    scan,
)
from .._network import Network, Params, require_constant
from .._neural_masses import excitatory_rest, inhibitory_rest
from .._simulate import simulate
from ..nodes import WongWangExcInhParams, WongWangExcInhState, wong_wang_exc_inh
from ..noise._draw import is_noise
from ._fixed_point import fixed_point_or_nan
from ._linear import eigenvalue_scale, jacobians

SQUARINGS = 32
TERMS = 20  # of the exponential's series, which are enough at a norm of 1 in float64
GAIN = 0.3  # Share of its deviation that a round of the search takes from a region.


class BalancedInhibition(NamedTuple):
    """A network whose feedback inhibition holds every region at a firing rate.

    Attributes:
        params: the parameters of the network, with one J_i per region. [nA]
        x: the state that is balanced, a fixed point without noise: start runs and analyses from it.
        rates: the firing rate of the excitatory population of each region. [kHz]
        growth: the rate at which the fastest small deviation from `x` grows: `x` is stable if it is
            below 0. Delays are left out. [1/ms]

    Example:
        >>> net = cf.Network(cf.nodes.wong_wang_exc_inh, dt=1.0)
        >>> params = cf.Params(cf.nodes.WongWangExcInhParams(), cf.AdditiveCoupling(jnp.zeros((2, 2))))
        >>> balanced = cf.balance_inhibition(net, params, regions=2)
        >>> balanced.params.node.J_i.shape, balanced.x.S_e.round(3).tolist(), balanced.growth < 0
        ((2,), [0.161..., 0.161...], Array(True, dtype=bool))
    """

    params: Params
    x: PyTree
    rates: Float[Array, " region"]
    growth: Float[Array, ""]


def balance_inhibition(
    net: Network, params: Params, regions: int, rate: Scalar | PerTarget = 0.003
) -> BalancedInhibition:
    r"""Compute the feedback inhibition at which every region fires at a given rate, without noise.

    S_e follows from the rate, the excitatory current $I_e$ from the inverse of its response, and S_i
    from its own equation; then $J_i = (w_p J_N S_e + W_e I_0 + I_{ext} + J_N c - I_e) / S_i$, where $c$
    is what the region receives at S_e. This is a fixed point of the network, whatever the coupling;
    `growth` says whether it is stable. Where it is not, and under strong noise, a run is elsewhere
    and the mean rates are higher: see `search_inhibition`.

    The result goes under `jit` and `vmap` and has gradients (of `growth`, where its fastest deviation
    does not oscillate), so `lambda k: cf.balance_inhibition(net, with_k(k), n).params` is a function
    from k to parameters along which J_i stays balanced.

    Args:
        net: a network of `nodes.wong_wang_exc_inh`. Its lags do not move a fixed point.
        params: its parameters, with external input only if it is constant; J_i is replaced.
        regions: number of regions. [1]
        rate: firing rate of the excitatory population, a scalar or one value per region. [kHz]

    Returns:
        The parameters with one J_i per region, the balanced state, its rates, and how fast a
        deviation from it grows.

    Raises:
        ValueError: if the node is another one; if rate is not positive, or is neither a scalar nor one
            value per region; if a coupling into S_i reads anything but S_e; if an external input
            varies; if a region is too weakly excited to fire at the rate, so that J_i would be
            negative (this is seen outside of `jit` only).

    Source:
        G. Deco et al., J. Neurosci. 34 (2014) 7886-7898, "Feedback inhibition control" (3 Hz).

    Example:
        >>> net = cf.Network(cf.nodes.wong_wang_exc_inh, dt=1.0)
        >>> coupling = cf.AdditiveCoupling(jnp.array([[0.0, 1.0], [0.0, 0.0]]), k=2.0)
        >>> params = cf.Params(cf.nodes.WongWangExcInhParams(), coupling)
        >>> balanced = cf.balance_inhibition(net, params, regions=2)
        >>> J_i = balanced.params.node.J_i
        >>> bool(J_i[0] > J_i[1]), bool(balanced.growth < 0)  # region 0 is driven by region 1
        (True, True)
    """
    regions = _require_balanceable(net, params, regions, rate)
    balanced = _balance(net, params, regions, jnp.asarray(rate))
    J_i = balanced.params.node.J_i
    if known(J_i) and (np.asarray(J_i) < 0).any():
        region = int(np.argmin(J_i))
        raise ValueError(
            f"`rate` cannot be held: region {region} of {regions} is too weakly excited, so that its "
            f"J_i would be {float(J_i[region]):.3g} nA. Ask for a lower rate."
        )
    return balanced


def search_inhibition(
    net: Network,
    params: Params,
    regions: int,
    key: Array,
    *,
    rate: Scalar | PerTarget = 0.003,
    rounds: int = 60,
    steps: int = 10_000,
) -> BalancedInhibition:
    r"""Search for the feedback inhibition at which every region fires at a mean rate, under noise.

    Noise raises the mean rates, as the response is convex, the more so the less stable the network is.
    This runs the network, starting from `balance_inhibition`, for `rounds` times `steps` steps. After
    each round J_i rises by $g\, (H^{-1}(\bar r_i) - H^{-1}(r)) / S_i$: the share g of what the mean
    rate $\bar r_i$ of the round exceeds the wanted rate r by, as a current, over S_i. The share is
    0.3, and over the second half of the rounds falls as 1 / sqrt(n); J_i is the mean over that half.

    Args:
        net: a network of `nodes.wong_wang_exc_inh`; `bounds="node"` keeps gatings within 0 to 1.
        params: its parameters, with noise (0.01 in the source); J_i is replaced.
        regions: number of regions. [1]
        key: a `jax.random` key; the same key gives the same result.
        rate: mean firing rate of the excitatory population, a scalar or one value per region. [kHz]
        rounds: number of rounds, 2 or more. Near the point at which the network leaves the balanced
            state rates fluctuate slowly, and more or longer rounds are needed. [1]
        steps: steps per round. [1]

    Returns:
        The parameters with the J_i that was found, the mean rates over the second half of the rounds,
        the fixed point without noise that lies near the mean state of that half (NaN if none is
        found), and how fast a deviation from this grows.

    Raises:
        ValueError: as `balance_inhibition`, or if there are fewer than 2 rounds or no steps.

    Source:
        G. Deco et al., J. Neurosci. 34 (2014) 7886-7898, "Feedback inhibition control": there J_i moves
        by fixed amounts until mean currents are within 0.005 nA; B. T. Polyak and A. B. Juditsky,
        SIAM J. Control Optim. 30 (1992) 838-855, for the mean over rounds.

    Example:
        >>> net = cf.Network(cf.nodes.wong_wang_exc_inh, dt=1.0, scheme="euler", bounds="node")
        >>> coupling = cf.AdditiveCoupling(jnp.array([[0.0, 1.0], [1.0, 0.0]]), k=0.5)
        >>> params = cf.Params(cf.nodes.WongWangExcInhParams(), coupling, noise=0.01)
        >>> key = jax.random.key(0)
        >>> found = cf.search_inhibition(net, params, 2, key, rounds=8, steps=4000)
        >>> closed = cf.balance_inhibition(net, params, 2)
        >>> bool((found.params.node.J_i > closed.params.node.J_i).all())  # noise asks for more
        True
    """
    regions = _require_balanceable(net, params, regions, rate)
    rounds, steps = as_count("rounds", rounds), as_count("steps", steps)
    if rounds < 2 or not steps:
        raise ValueError(
            f"`rounds` must be 2 or more and `steps` 1 or more; got {rounds} and {steps}."
        )
    return _search(net, params, regions, key, jnp.asarray(rate), rounds, steps)


def balanced_by(net: Network, params: Params) -> BalancedInhibition | None:
    """Return the state that the J_i of `params` balances at one rate; None if there is no such rate.

    It is looked for between 0.1 and 100 Hz, outside of `jit`, where J_i has one value per region.
    """
    J_i = np.asarray(params.node.J_i)
    regions, least, most = len(J_i), np.log(1e-4), np.log(0.1)

    def misfit(log_rate):
        there = _balanced_inhibition(net, params, regions, jnp.exp(jnp.asarray(log_rate)))
        return np.asarray(there) - J_i

    grid = np.linspace(least, most, 64)
    means = [misfit(x).mean() for x in grid]
    for place in np.flatnonzero(np.sign(means[1:]) != np.sign(means[:-1])):
        low, high = grid[place], grid[place + 1]
        for _ in range(40):
            middle = (low + high) / 2
            same = np.sign(misfit(middle).mean()) == np.sign(means[place])
            low, high = (middle, high) if same else (low, middle)
        if np.abs(misfit(low)).max() < 1e-3 * np.abs(J_i).mean():
            return _balance(net, params, regions, jnp.exp(jnp.asarray(low)))
    return None


class _Round(NamedTuple):
    """What one round of the search leaves: the inhibition it ran with, and the means of the run."""

    J_i: Array
    means: dict[str, Array]


@compiled
def _balanced_inhibition(net, params, regions, rate) -> Array:
    return _balanced(net, params, regions, rate)[0].node.J_i


@compiled
def _balance(net, params, regions, rate) -> BalancedInhibition:
    params, x = _balanced(net, params, regions, rate)
    rates = jnp.broadcast_to(rate, (regions,)).astype(x.S_e.dtype)
    return BalancedInhibition(params, x, rates, fastest_growth(net, params, x))


@compiled
def _search(net, params, regions, key, rate, rounds, steps) -> BalancedInhibition:
    start, x = _balanced(net, params, regions, rate)
    wanted = excitatory_rest(start.node, rate).current
    state = net.init(x, start, key=key)
    rest = rounds // 2

    def one(carry, number):
        state, J_i = carry
        there = _with_inhibition(start, J_i)
        state, seen = simulate(net, state, there, steps, record=("S_e", "S_i", "rate_e"))
        means = jax.tree.map(lambda x: x.mean(0), seen)
        # A region that fell silent would ask for an infinite current.
        fired = jnp.maximum(means["rate_e"], rate.astype(J_i.dtype) / 50)
        excess = excitatory_rest(there.node, fired).current - wanted
        late = jnp.maximum(number - rest, 0).astype(J_i.dtype)
        moved = J_i + GAIN / jnp.sqrt(1 + late) * excess / x.S_i
        return (state, jnp.maximum(moved, 0)), _Round(J_i, means)

    _, found = scan(one, (state, start.node.J_i), jnp.arange(rounds))
    found = jax.tree.map(lambda x: x[rest:].mean(0), found)
    params = _with_inhibition(start, found.J_i)
    near = WongWangExcInhState(found.means["S_e"], found.means["S_i"])
    x = fixed_point_or_nan(net, params, near)
    return BalancedInhibition(params, x, found.means["rate_e"], fastest_growth(net, params, x))


def _with_inhibition(params: Params, J_i: Array) -> Params:
    return eqx.tree_at(lambda p: p.node.J_i, params, J_i)


def _require_balanceable(net: Network, params: Params, regions: Any, rate: Any) -> int:
    """Refuse what has no feedback inhibition to balance; return the number of regions."""
    if net.node is not wong_wang_exc_inh or not isinstance(params.node, WongWangExcInhParams):
        raise ValueError(
            "`net` must be of the node cf.nodes.wong_wang_exc_inh, with its parameters: it has the "
            f"feedback inhibition J_i; got {net.node.__name__} and {type(params.node).__name__}."
        )
    regions = as_count("regions", regions)
    require_positive("rate", rate, "kHz")
    require_one_or_each("rate", rate, regions)
    for name, wire in net.wires:
        for source, into in zip(wire.source, wire.into, strict=True):
            if into == "S_i" and source != "S_e":
                raise ValueError(
                    f"The coupling {name!r} drives S_i by {source!r}: inhibition can be balanced only "
                    "where what S_i receives comes from S_e."
                )
    require_constant(params)
    for name, value in (params.external or {}).items():
        if callable(value) or is_noise(value):
            raise ValueError(
                f"`params.external` must be constant: its input on {name!r} varies in time, and a "
                "network is balanced only under constant input. Give a number or an array."
            )
    return regions


def _balanced(
    net: Network, params: Params, regions: int, rate: Any
) -> tuple[Params, WongWangExcInhState]:
    """Return the parameters with the J_i that balances them, and the balanced state."""
    p = params.node
    S_e, current = excitatory_rest(p, rate)
    S_e = jnp.broadcast_to(S_e, (regions,))
    silent = WongWangExcInhState(S_e, jnp.zeros_like(S_e))
    S_i = inhibitory_rest(p, S_e, _received(net, params, silent)["S_i"])
    x = WongWangExcInhState(S_e, S_i)
    received = p.J_N * _received(net, params, x)["S_e"]
    J_i = (p.w_p * p.J_N * S_e + p.W_e * p.I_0 + p.I_ext + received - current) / S_i
    return _with_inhibition(params, J_i), x


def _received(net: Network, params: Params, x: WongWangExcInhState) -> dict[str, Any]:
    """Return what drives the nodes of a network that has always been in one state."""
    couplings = params.coupling
    if not isinstance(couplings, Mapping):
        couplings = {name: couplings for name, _ in net.wires}
    driven: dict[str, Any] = {"S_e": 0.0, "S_i": 0.0} | (params.external or {})
    for name, wire in net.wires:
        for source, into, target in zip(wire.source, wire.into, wire.target, strict=True):
            received = couplings[name](read(x, source), read(x, target))
            driven[into] = driven[into] + received
    return driven


def fastest_growth(net: Network, params: Params, x: PyTree) -> Float[Array, ""]:
    r"""Return the largest real part of the eigenvalues at a fixed point, delays left out. [1/ms].

    It is $\lim_n \log\|e^{n A t}\| / (n t)$, by squaring $e^{A t}$: products alone, so that it runs
    on every device and under `vmap`, where an eigendecomposition may not.
    """
    jac = jacobians(net, params, x)
    whole = sum(jac.gains, jac.instantaneous)
    a = whole.reshape(whole.shape[0] * whole.shape[1], -1)
    time = 1 / (eigenvalue_scale(lax.stop_gradient(a)) * len(a) ** 0.5)  # one over the norm
    product = partial(jnp.matmul, precision=lax.Precision.HIGHEST)

    def term(n, series):
        return jnp.eye(len(a), dtype=a.dtype) + product(time / (TERMS - n) * a, series)

    def square(carry, _):
        power, log_size = carry
        size = jnp.sqrt(jnp.square(power).sum())
        power = power / size
        return (product(power, power), 2 * (log_size + jnp.log(size))), None

    flow = lax.fori_loop(0, TERMS, term, jnp.eye(len(a), dtype=a.dtype))
    start = (flow, jnp.zeros((), a.dtype))
    (power, log_size), _ = scan(square, start, None, length=SQUARINGS)
    log_size = log_size + jnp.log(jnp.sqrt(jnp.square(power).sum()))
    return log_size / (time * 2.0**SQUARINGS)
