"""BOLD by the Balloon–Windkessel model: blood flow, volume and oxygen, driven by activity.

The state is the distance from rest. So rest is exactly 0, and in float32 a change of 1e-6 per step
is not lost beside a volume of 1.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from .._core import (
    as_float,
    known,
    require_positive_number,
    require_shape,
    scan,
)
from .._signals import into_periods, warn_of_short_tr
from ..schemes import Scheme
from ..schemes._shorthands import SchemeName, as_scheme
from ._balloon_params import COEFFICIENTS, BalloonParams


class BalloonState(NamedTuple):
    """How far blood and vessels are from rest in each region; all 0 at rest.

    Attributes:
        s: vasodilatory signal. [1/s]
        f: blood flow, less 1, its value at rest. [1]
        v: venous volume, less 1. [1]
        q: deoxyhaemoglobin content, less 1. [1]

    Example:
        >>> rest = cf.observe.BalloonState(*jnp.zeros((4, 2)))
        >>> rest.f.tolist()
        [0.0, 0.0]
    """

    s: Float[Array, " region"]
    f: Float[Array, " region"]
    v: Float[Array, " region"]
    q: Float[Array, " region"]


def balloon_init(activity: Num[ArrayLike, " region"]) -> BalloonState:
    """Return the state at rest, with the regions and the dtype of `activity`.

    Args:
        activity: one value per region; only its shape and its dtype are read. [any unit]

    Returns:
        The state, 0 everywhere.

    Raises:
        ValueError: if `activity` is not (region,).

    Example:
        >>> cf.observe.balloon_init(jnp.ones(2)).f.tolist()
        [0.0, 0.0]
    """
    activity = as_float("activity", activity)
    if activity.ndim != 1:
        raise ValueError(f"`activity` must have shape (region,); got {activity.shape}.")
    rest = jnp.zeros_like(activity)
    return BalloonState(rest, rest, rest, rest)


def balloon_windkessel(
    state: BalloonState, activity: Num[ArrayLike, " region"], params: BalloonParams
) -> BalloonState:
    r"""Compute the rate of change of flow, volume and oxygen, driven by activity.

    With $z$ the activity, and $f, v, q$ equal to 1 at rest (the state holds them less 1):

    $\dot s = z - \kappa s - \gamma (f - 1), \quad \dot f = s$

    $\tau \dot v = f - v^{1/\alpha}, \quad
    \tau \dot q = f (1 - (1 - \rho)^{1/f}) / \rho - v^{1/\alpha - 1} q$

    Under a constant $z$ the flow settles at $f = 1 + z / \gamma$. It is linear in $z$, and so falls
    to 0 where $z$ is far below rest, or after $z$ was far above it. The model says nothing beyond:
    where the flow is not positive, the rate of the oxygen is NaN.

    Args:
        state: the present state of blood and vessels.
        activity: $z$, how far activity is from its level at rest. [1/s²]
        params: the parameters of the model.

    Returns:
        The rates. [unit of the state/ms]

    Source:
        K. Friston, L. Harrison, W. Penny, NeuroImage 19, 1273 (2003), eq. 3.

    Example:
        >>> rest = cf.observe.balloon_init(jnp.ones(1))
        >>> rate = cf.observe.balloon_windkessel(rest, jnp.ones(1), cf.observe.BalloonParams())
        >>> float(rate.s[0]), float(rate.f[0])  # only the signal reacts at once
        (0.001, 0.0)
    """
    s, f, v, q = state
    # Powers less their values at rest, by expm1 and log1p: as differences they would cancel.
    log_kept = jnp.log1p(-params.rho)
    extraction = -jnp.expm1(-log_kept * f / (1 + f)) * (1 - params.rho) / params.rho
    # Between two steps the flow may pass the pole at 0, and would go on with a finite, wrong number.
    extraction = jnp.where(f > -1, extraction, jnp.nan)
    outflow = jnp.expm1(jnp.log1p(v) / params.alpha)
    per_volume = jnp.expm1(jnp.log1p(v) * (1 / params.alpha - 1))
    return BalloonState(
        s=(activity - params.kappa * s - params.gamma * f) / 1000,
        f=s / 1000,
        v=(f - outflow) / params.tau,
        q=(f + (1 + f) * extraction - per_volume - q - per_volume * q) / params.tau,
    )


def balloon_step(
    state: BalloonState,
    activity: Num[ArrayLike, " region"],
    params: BalloonParams,
    dt: float,
    scheme: Scheme | SchemeName = "heun",
) -> BalloonState:
    """Advance the state by one step, with the activity held during it: for a scan of your own.

    Args:
        state: from `balloon_init`, or from the step before.
        activity: how far activity is from its level at rest, at the end of the step. [1/s²]
        params: the parameters of the model.
        dt: time step. [ms]
        scheme: scheme of integration, by name or from `cf.schemes`.

    Returns:
        The state after the step; `balloon_bold` reads it.

    Raises:
        ValueError: if there is no such scheme, or `activity` has other regions than the state.

    Example:
        A network that carries its BOLD along, and records it every 100 steps:

        >>> net = cf.Network(cf.nodes.linear, dt=1.0)
        >>> params = cf.Params(cf.nodes.LinearParams(a=-0.1), cf.AdditiveCoupling(jnp.ones((2, 2))))
        >>> vessels = cf.observe.BalloonParams()
        >>> def step(state, params):
        ...     network, blood = state
        ...     network = net(network, params)
        ...     return network, cf.observe.balloon_step(blood, network.node.x, vessels, dt=1.0)
        >>> def read(state):
        ...     return cf.observe.balloon_bold(state[1], vessels)
        >>> network = net.init(cf.nodes.LinearState(jnp.ones(2)), params)
        >>> start = network, cf.observe.balloon_init(jnp.ones(2))
        >>> _, bold = cf.simulate(step, start, params, steps=1000, record=read, every=100)
        >>> bold.shape
        (10, 2)
    """
    scheme = as_scheme(scheme)
    require_positive_number("dt", dt, "ms")
    activity = as_float("activity", activity)
    require_shape(
        "activity", activity, np.shape(state[0]), meaning="It must have the regions of `state`."
    )

    def rate(state, at):
        return balloon_windkessel(state, activity, params)

    return scheme.step(rate, state, float(dt))


def balloon_bold(state: BalloonState, params: BalloonParams) -> Float[Array, " region"]:
    r"""Compute the BOLD signal from volume and oxygen: 0 at rest.

    $y = V_0 (k_1 (1 - q) + k_2 (1 - q / v) + k_3 (1 - v))$, or if `params.linear`
    $y = V_0 ((k_1 + k_2) (1 - q) + (k_3 - k_2) (1 - v))$, with $v, q$ equal to 1 at rest (the state
    holds them less 1).

    Args:
        state: the present state of blood and vessels.
        params: the parameters of the model; their `coefficients` give $k_1, k_2, k_3$.

    Returns:
        The change of the signal from rest, as a fraction of it. [1]

    Source:
        R. Buxton et al., Magn. Reson. Med. 39, 855 (1998); K. Stephan et al., NeuroImage 38, 387
        (2007), eqs. 11 and 12.

    Example:
        >>> rest = cf.observe.balloon_init(jnp.ones(1))
        >>> cf.observe.balloon_bold(rest, cf.observe.BalloonParams()).tolist()
        [0.0]
    """
    _, _, v, q = state
    coefficients = params.coefficients
    k1, k2, k3 = (coefficients if callable(coefficients) else COEFFICIENTS[coefficients])(params)
    if params.linear:
        return params.V0 * ((k2 - k3) * v - (k1 + k2) * q)
    return params.V0 * (k2 * (v - q) / (1 + v) - k1 * q - k3 * v)


def bold_from_balloon(
    activity: Num[ArrayLike, "time region"],
    dt: float,
    period: float,
    params: BalloonParams | None = None,
    *,
    state: BalloonState | None = None,
    scheme: Scheme | SchemeName = "heun",
) -> tuple[BalloonState, Float[Array, "sample region"]]:
    """Turn a record of activity into BOLD by the Balloon–Windkessel model.

    Sample m is at time (m + 1) · period. Activity n is held during the step that ends at its time,
    (n + 1) · dt. The last state is all that a further record needs: a record in two halves gives
    the same BOLD as the whole. Nothing depends on when a record began.

    Args:
        activity: how far activity is from its level at rest, as `simulate` records. [1/s²]
        dt: time from one sample of the activity to the next. [ms]
        period: time from one BOLD sample to the next (TR), a multiple of dt. [ms]
        params: from `BalloonParams` or `balloon_params`; None means those of Friston et al. (2003).
        state: state of blood and vessels before the record; None means at rest.
        scheme: scheme of integration, by name or from `cf.schemes`.

    Returns:
        The last state, and BOLD, as a fraction of the signal at rest. [1]

    Raises:
        ValueError: if `period` is not a multiple of dt, `activity` is not (time, region) or not a
            whole number of periods long, or `state` has other regions.
        FloatingPointError: if BOLD is not finite: the activity is too strong, so that the flow falls
            to 0, or it is not finite itself. Inside `jit`, `vmap` and `grad` such BOLD is NaN.

    Warns:
        UserWarning: if `period` is below 50 ms, which would be a TR in s.

    Source:
        K. Friston, L. Harrison, W. Penny, NeuroImage 19, 1273 (2003).

    Example:
        >>> activity = jnp.ones((60_000, 1))  # a minute of constant activity
        >>> state, bold = cf.observe.bold_from_balloon(activity, dt=1.0, period=2000.0)
        >>> bold.shape, round(1 + float(state.f[0]), 3)  # 1 + 1 / gamma
        ((30, 1), 3.439)
    """
    blocks = into_periods("activity", activity, dt, period)
    params = BalloonParams() if params is None else params
    scheme = as_scheme(scheme)
    state = balloon_init(blocks[0, 0]) if state is None else state
    for name, x in zip(state._fields, state, strict=True):
        require_shape(
            f"state.{name}", x, blocks.shape[2:], meaning="It must have one value per region."
        )
    warn_of_short_tr(period)
    last, bold = _run(state, blocks, params, float(dt), scheme)
    if known(last, bold) and not all(np.isfinite(x).all() for x in (*last, bold)):
        each = blocks.reshape(-1, blocks.shape[2])
        raise FloatingPointError(_why_not_finite(state, each, params, float(dt), scheme))
    return last, bold


def _why_not_finite(state, activity, params, dt, scheme) -> str:
    """Return in words where and why the model left its domain; the run is repeated for that."""
    given, flow, fine = (np.asarray(x) for x in _flows(state, activity, params, dt, scheme))
    step, region = (int(x) for x in np.argwhere(~fine)[0])
    begin = f"BOLD of region {region} is not finite from {(step + 1) * dt:.4g} ms on"
    if not np.isfinite(given[: step + 1, region]).all():
        return f"{begin}: `activity` is not finite there."
    lowest, highest = flow[:, region].min(), flow[:, region].max()
    if lowest > -1:
        return f"{begin}, though the flow is positive: take a smaller dt than {dt:g} ms."
    return (
        f"{begin}: the flow falls to 0 there, and the balloon model has no meaning beyond. It goes from "
        f"{1 + lowest:.3g} to {1 + highest:.3g} times that at rest; a strong response is 2. Its "
        f"change is proportional to `activity`: subtract the level at rest, and multiply the rest by "
        f"{-0.5 / lowest:.2g} or less."
    )


@eqx.filter_jit
def _flows(state, activity, params, dt, scheme):
    def one(state, row):
        state = balloon_step(state, row, params, dt, scheme)
        return state, (row, state.f, jnp.isfinite(sum(state)))

    return scan(one, state, activity)[1]


@eqx.filter_jit
def _run(state, blocks, params, dt, scheme):
    def one(state, activity):
        return balloon_step(state, activity, params, dt, scheme), None

    @jax.checkpoint  # so that a gradient keeps one state per period, not one per step
    def through_period(state, block):
        state, _ = scan(one, state, block)
        return state, balloon_bold(state, params)

    return scan(through_period, state, blocks)
