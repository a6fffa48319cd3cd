"""Neurons of unequal excitability as three modes: FitzHugh–Nagumo and Hindmarsh–Rose."""

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from .._core import PerTarget, Scalar, parameter
from .._node import node


class _Modes(NamedTuple):
    """Three step functions of the excitability: their roots of width, mean excitabilities and shares."""

    root: tuple[Array, Array, Array]
    centre: tuple[Any, Any, Any]
    share: tuple[Array, Array, Array]


def _modes(p) -> _Modes:
    inner, outer = p.sigma * p.inner, p.sigma * p.outer
    side, middle = jnp.sqrt(outer - inner), jnp.sqrt(2 * inner)
    away = (inner + outer) / 2
    return _Modes(
        (side, middle, side),
        (p.mu - away, p.mu, p.mu + away),
        (p.share_outer, p.share_inner, p.share_outer),
    )


def _field(modes, x):
    """Return the mean field of a variable, the sum of its modes times their share of the neurons."""
    return sum(s / r * x for s, r, x in zip(modes.share, modes.root, x, strict=True))


def _turned(modes, x):
    """Return what the mean field would be if width and share changed places."""
    return sum(r * x for r, x in zip(modes.root, x, strict=True))


class ReducedSetFitzHughNagumoState(NamedTuple):
    """State of `reduced_set_fitzhugh_nagumo`, one value per region each: `(region,)`.

    Attributes:
        xi0: excitatory potential, mode of low excitability. [1]
        xi1: excitatory potential, mode of middle excitability. [1]
        xi2: excitatory potential, mode of high excitability. [1]
        eta0: excitatory recovery, mode of low excitability. [1]
        eta1: excitatory recovery, mode of middle excitability. [1]
        eta2: excitatory recovery, mode of high excitability. [1]
        alpha0: inhibitory potential, mode of low excitability. [1]
        alpha1: inhibitory potential, mode of middle excitability. [1]
        alpha2: inhibitory potential, mode of high excitability. [1]
        beta0: inhibitory recovery, mode of low excitability. [1]
        beta1: inhibitory recovery, mode of middle excitability. [1]
        beta2: inhibitory recovery, mode of high excitability. [1]

    Example:
        >>> cf.nodes.ReducedSetFitzHughNagumoState(*jnp.zeros((12, 2))).xi0.shape
        (2,)
    """

    xi0: Array
    xi1: Array
    xi2: Array
    eta0: Array
    eta1: Array
    eta2: Array
    alpha0: Array
    alpha1: Array
    alpha2: Array
    beta0: Array
    beta1: Array
    beta2: Array


class ReducedSetFitzHughNagumoParams(eqx.Module):
    """Parameters of `reduced_set_fitzhugh_nagumo`, each a scalar or one value per region, `(region,)`.

    Attributes:
        tau: ratio of the rates of potential and recovery. [1]
        a: shift of the recovery. [1]
        b: decay of the recovery. [1]
        K11: coupling among the excitatory neurons. [1/ms]
        K12: coupling from the inhibitory to the excitatory neurons. [1/ms]
        K21: coupling from the excitatory to the inhibitory neurons. [1/ms]
        sigma: standard deviation of the excitability. [1]
        mu: mean of the excitability. [1]
        inner: border of the middle mode, in units of sigma from mu. [1]
        outer: border of the outer modes, likewise. [1]
        share_inner: share of the neurons in the middle mode. [1]
        share_outer: share of the neurons in each outer mode. [1]

    Example:
        >>> cf.nodes.ReducedSetFitzHughNagumoParams(sigma=0.5).sigma.item()
        0.5
    """

    tau: Scalar | PerTarget = parameter("tau", 3.0, "1")
    a: Scalar | PerTarget = parameter("a", 0.45, "1")
    b: Scalar | PerTarget = parameter("b", 0.9, "1")
    K11: Scalar | PerTarget = parameter("K11", 0.5, "1/ms")
    K12: Scalar | PerTarget = parameter("K12", 0.15, "1/ms")
    K21: Scalar | PerTarget = parameter("K21", 0.15, "1/ms")
    sigma: Scalar | PerTarget = parameter("sigma", 0.35, "1")
    mu: Scalar | PerTarget = parameter("mu", 0.0, "1")
    inner: Scalar | PerTarget = parameter("inner", 0.43042211724347734, "1")
    outer: Scalar | PerTarget = parameter("outer", 3.208898537156036, "1")
    share_inner: Scalar | PerTarget = parameter("share_inner", 0.33311144470274784, "1")
    share_outer: Scalar | PerTarget = parameter("share_outer", 0.33281658111902224, "1")


def _excitatory_potentials(state):
    """Return the sum of the excitatory modes, which regions send. [1]."""
    return state.xi0 + state.xi1 + state.xi2


@node(
    state=ReducedSetFitzHughNagumoState,
    params=ReducedSetFitzHughNagumoParams,
    states=dict.fromkeys(ReducedSetFitzHughNagumoState._fields, "1"),
    inputs={"xi": "1"},
    coupled=[(_excitatory_potentials, "xi")],
    ranges={
        name: (-4.0, 4.0) if name[:-1] in ("xi", "alpha") else (-3.0, 3.0)
        for name in ReducedSetFitzHughNagumoState._fields
    },
    implied=["ms"],
)
def reduced_set_fitzhugh_nagumo(
    state: ReducedSetFitzHughNagumoState, inputs, params: ReducedSetFitzHughNagumoParams
) -> ReducedSetFitzHughNagumoState:
    r"""Compute the rates of change of three modes of excitatory and inhibitory FitzHugh–Nagumo neurons.

    For each mode $i$, of width $w_i$, mean excitability $z_i$ and share $p_i$ of the neurons:
    $\dot\xi_i = \tau\,(\xi_i - \xi_i^3/(3w_i) - \eta_i + \sqrt{w_i}z_i + I_\xi)
    + K_{11}(\sqrt{w_i}X - \xi_i) - K_{12}(p_i\sum_k\sqrt{w_k}\alpha_k/\sqrt{w_i} - \xi_i)$,
    $\dot\eta_i = (\xi_i - b\eta_i + a\sqrt{w_i})/\tau$,
    $\dot\alpha_i = \tau\,(\alpha_i - \alpha_i^3/(3w_i) - \beta_i + \sqrt{w_i}z_i + I_\xi)
    + K_{21}(\sqrt{w_i}X - \alpha_i)$, $\dot\beta_i = (\alpha_i - b\beta_i + a\sqrt{w_i})/\tau$ with the
    mean field $X = \sum_k p_k\xi_k/\sqrt{w_k}$.

    The excitabilities are normal; the modes are its thirds, steps at `inner` and `outer` times sigma
    from mu. One unit of the paper's time is 1 ms. By default the sum of the excitatory potentials is
    coupled into all modes of both populations: couple with `DiffusiveCoupling`.

    Args:
        state: xi, eta, alpha, beta of the three modes. [1]
        inputs: xi, which is added within tau (...) in all modes. [1]
        params: `ReducedSetFitzHughNagumoParams`.

    Source:
        R. A. Stefanescu and V. K. Jirsa, PLoS Comput. Biol. 4 (2008) e1000219. The paper does not say
        where the tails of the distribution are cut. The defaults of `inner`, `outer` and the shares
        reproduce The Virtual Brain's grid of excitabilities; exact thirds have `inner` = 0.430727 and
        shares of 1/3. As there, $w$ and $p$ in the term of $K_{12}$ have changed places with those of
        a mean field.

    Example:
        >>> state = cf.nodes.ReducedSetFitzHughNagumoState(*jnp.zeros((12, 1)))
        >>> driven = type("Inputs", (), {"xi": 0.5})
        >>> rate = cf.nodes.reduced_set_fitzhugh_nagumo(
        ...     state, driven, cf.nodes.ReducedSetFitzHughNagumoParams()
        ... )
        >>> rate.xi1.tolist(), rate.alpha1.tolist()
        ([1.5], [1.5])
    """
    p, modes = params, _modes(params)
    xi, eta, alpha, beta = (state[i : i + 3] for i in (0, 3, 6, 9))
    field, turned = _field(modes, xi), _turned(modes, alpha)
    rates = [[], [], [], []]
    for i, (root, z, share) in enumerate(zip(*modes, strict=True)):
        drive, shift = root * z + inputs.xi, p.a * root
        x, y = xi[i], alpha[i]
        rates[0].append(
            p.tau * (x - x**3 / (3 * root * root) - eta[i] + drive)
            + p.K11 * (root * field - x)
            - p.K12 * (share / root * turned - x)
        )
        rates[1].append((x - p.b * eta[i] + shift) / p.tau)
        rates[2].append(
            p.tau * (y - y**3 / (3 * root * root) - beta[i] + drive) + p.K21 * (root * field - y)
        )
        rates[3].append((y - p.b * beta[i] + shift) / p.tau)
    return ReducedSetFitzHughNagumoState(*rates[0], *rates[1], *rates[2], *rates[3])


class ReducedSetHindmarshRoseState(NamedTuple):
    """State of `reduced_set_hindmarsh_rose`, one value per region each: `(region,)`.

    Attributes:
        xi0: excitatory potential, mode of low excitability. [1]
        xi1: excitatory potential, mode of middle excitability. [1]
        xi2: excitatory potential, mode of high excitability. [1]
        eta0: excitatory recovery, mode of low excitability. [1]
        eta1: excitatory recovery, mode of middle excitability. [1]
        eta2: excitatory recovery, mode of high excitability. [1]
        tau0: excitatory slow current, mode of low excitability. [1]
        tau1: excitatory slow current, mode of middle excitability. [1]
        tau2: excitatory slow current, mode of high excitability. [1]
        alpha0: inhibitory potential, mode of low excitability. [1]
        alpha1: inhibitory potential, mode of middle excitability. [1]
        alpha2: inhibitory potential, mode of high excitability. [1]
        beta0: inhibitory recovery, mode of low excitability. [1]
        beta1: inhibitory recovery, mode of middle excitability. [1]
        beta2: inhibitory recovery, mode of high excitability. [1]
        gamma0: inhibitory slow current, mode of low excitability. [1]
        gamma1: inhibitory slow current, mode of middle excitability. [1]
        gamma2: inhibitory slow current, mode of high excitability. [1]

    Example:
        >>> cf.nodes.ReducedSetHindmarshRoseState(*jnp.zeros((18, 2))).xi0.shape
        (2,)
    """

    xi0: Array
    xi1: Array
    xi2: Array
    eta0: Array
    eta1: Array
    eta2: Array
    tau0: Array
    tau1: Array
    tau2: Array
    alpha0: Array
    alpha1: Array
    alpha2: Array
    beta0: Array
    beta1: Array
    beta2: Array
    gamma0: Array
    gamma1: Array
    gamma2: Array


class ReducedSetHindmarshRoseParams(eqx.Module):
    """Parameters of `reduced_set_hindmarsh_rose`, each a scalar or one value per region, `(region,)`.

    Attributes:
        r: rate of the slow currents. [1]
        a: coefficient of the cube of the potential. [1]
        b: coefficient of its square. [1]
        c: constant term of the recovery. [1]
        d: coefficient of the square of the potential in the recovery. [1]
        s: weight of the potential in the slow current. [1]
        xo: potential at which the slow current rests. [1]
        K11: coupling among the excitatory neurons. [1/ms]
        K12: coupling from the inhibitory to the excitatory neurons. [1/ms]
        K21: coupling from the excitatory to the inhibitory neurons. [1/ms]
        sigma: standard deviation of the excitability. [1]
        mu: mean of the excitability. [1]
        inner: border of the middle mode, in units of sigma from mu. [1]
        outer: border of the outer modes, likewise. [1]
        share_inner: share of the neurons in the middle mode. [1]
        share_outer: share of the neurons in each outer mode. [1]

    Example:
        >>> cf.nodes.ReducedSetHindmarshRoseParams(mu=2.5).mu.item()
        2.5
    """

    r: Scalar | PerTarget = parameter("r", 0.006, "1")
    a: Scalar | PerTarget = parameter("a", 1.0, "1")
    b: Scalar | PerTarget = parameter("b", 3.0, "1")
    c: Scalar | PerTarget = parameter("c", 1.0, "1")
    d: Scalar | PerTarget = parameter("d", 5.0, "1")
    s: Scalar | PerTarget = parameter("s", 4.0, "1")
    xo: Scalar | PerTarget = parameter("xo", -1.6, "1")
    K11: Scalar | PerTarget = parameter("K11", 0.5, "1/ms")
    K12: Scalar | PerTarget = parameter("K12", 0.1, "1/ms")
    K21: Scalar | PerTarget = parameter("K21", 0.15, "1/ms")
    sigma: Scalar | PerTarget = parameter("sigma", 0.3, "1")
    mu: Scalar | PerTarget = parameter("mu", 3.3, "1")
    inner: Scalar | PerTarget = parameter("inner", 0.43042211724347734, "1")
    outer: Scalar | PerTarget = parameter("outer", 3.208898537156036, "1")
    share_inner: Scalar | PerTarget = parameter("share_inner", 0.33311144470274784, "1")
    share_outer: Scalar | PerTarget = parameter("share_outer", 0.33281658111902224, "1")


_HINDMARSH_RANGES = {
    "xi": (-4.0, 4.0),
    "eta": (-25.0, 20.0),
    "tau": (2.0, 10.0),
    "alpha": (-4.0, 4.0),
    "beta": (-20.0, 20.0),
    "gamma": (2.0, 10.0),
}


def _hindmarsh_rose(p, root, x, y, slow):
    """Return the rates of one mode without coupling and drive. [1]."""
    return (
        y - p.a * x**3 / (root * root) + p.b * x * x / root - slow,
        p.c * root - p.d * x * x / root - y,
        p.r * (p.s * (x - p.xo * root) - slow),
    )


@node(
    state=ReducedSetHindmarshRoseState,
    params=ReducedSetHindmarshRoseParams,
    states=dict.fromkeys(ReducedSetHindmarshRoseState._fields, "1"),
    inputs={"xi": "1"},
    coupled=[(_excitatory_potentials, "xi")],
    ranges={name: _HINDMARSH_RANGES[name[:-1]] for name in ReducedSetHindmarshRoseState._fields},
    implied=["ms"],
)
def reduced_set_hindmarsh_rose(
    state: ReducedSetHindmarshRoseState, inputs, params: ReducedSetHindmarshRoseParams
) -> ReducedSetHindmarshRoseState:
    r"""Compute the rates of change of three modes of excitatory and inhibitory Hindmarsh–Rose neurons.

    For each mode $i$, of width $w_i$, mean excitability $z_i$ and share $p_i$ of the neurons:
    $\dot\xi_i = \eta_i - a\xi_i^3/w_i + b\xi_i^2/\sqrt{w_i} - \tau_i + \sqrt{w_i}z_i + I_\xi
    + K_{11}(\sqrt{w_i}X - \xi_i) - K_{12}(p_i\sum_k\sqrt{w_k}\alpha_k/\sqrt{w_i} - \xi_i)$,
    $\dot\eta_i = c\sqrt{w_i} - d\xi_i^2/\sqrt{w_i} - \eta_i$,
    $\dot\tau_i = r\,(s\,(\xi_i - x_0\sqrt{w_i}) - \tau_i)$ with the mean field
    $X = \sum_k p_k\xi_k/\sqrt{w_k}$; $\alpha_i$, $\beta_i$ and $\gamma_i$ have the same equations, with
    $K_{21}(\sqrt{w_i}X - \alpha_i)$ in place of both couplings.

    The excitabilities are normal; the modes are its thirds, steps at `inner` and `outer` times sigma
    from mu. One unit of the paper's time is 1 ms. By default the sum of the excitatory potentials is
    coupled into all modes of both populations: couple with `DiffusiveCoupling`.

    Args:
        state: xi, eta, tau, alpha, beta, gamma of the three modes. [1]
        inputs: xi, which is added to the rate of all potentials. [1]
        params: `ReducedSetHindmarshRoseParams`.

    Source:
        R. A. Stefanescu and V. K. Jirsa, PLoS Comput. Biol. 4 (2008) e1000219. What the paper leaves
        open, and the term of $K_{12}$, are as in `reduced_set_fitzhugh_nagumo`.

    Example:
        >>> state = cf.nodes.ReducedSetHindmarshRoseState(*jnp.zeros((18, 1)))
        >>> driven = type("Inputs", (), {"xi": 0.5})
        >>> params = cf.nodes.ReducedSetHindmarshRoseParams(mu=0.0)
        >>> rate = cf.nodes.reduced_set_hindmarsh_rose(state, driven, params)
        >>> rate.xi1.tolist(), rate.alpha1.tolist()
        ([0.5], [0.5])
    """
    p, modes = params, _modes(params)
    xi, eta, tau, alpha, beta, gamma = (state[i : i + 3] for i in range(0, 18, 3))
    field, turned = _field(modes, xi), _turned(modes, alpha)
    excitatory, inhibitory = [], []
    for i, (root, z, share) in enumerate(zip(*modes, strict=True)):
        drive = root * z + inputs.xi
        dx, dy, slow = _hindmarsh_rose(p, root, xi[i], eta[i], tau[i])
        dx += p.K11 * (root * field - xi[i]) - p.K12 * (share / root * turned - xi[i])
        excitatory.append((dx + drive, dy, slow))
        dx, dy, slow = _hindmarsh_rose(p, root, alpha[i], beta[i], gamma[i])
        inhibitory.append((dx + p.K21 * (root * field - alpha[i]) + drive, dy, slow))
    rates = [*zip(*excitatory, strict=True), *zip(*inhibitory, strict=True)]
    return ReducedSetHindmarshRoseState(*(rate for three in rates for rate in three))
