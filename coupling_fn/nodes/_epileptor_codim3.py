"""Bursts around a singularity of codimension 3, by which seizures are classed; fixed or drifting."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from .._core import PerTarget, Scalar, parameter
from .._node import node


class _Point(NamedTuple):
    """A point of the unfolding's parameters, on a sphere."""

    mu1: Array
    mu2: Array
    nu: Array


def _point(p, where: str) -> _Point:
    return _Point(*(getattr(p, f"{name}_{where}") for name in _Point._fields))


def _on_arc(start: _Point, towards: _Point, radius, angle) -> _Point:
    """Return the point of a great circle from `start` to `towards`, an angle [rad] from its start."""
    length = jnp.sqrt(start.mu1**2 + start.mu2**2 + start.nu**2)
    first = _Point(*(x / length for x in start))
    along = sum(a * b for a, b in zip(first, towards, strict=True))
    across = _Point(*(b - along * a for a, b in zip(first, towards, strict=True)))
    width = jnp.sqrt(across.mu1**2 + across.mu2**2 + across.nu**2)
    cosine, sine = radius * jnp.cos(angle), radius * jnp.sin(angle) / width
    return _Point(*(a * cosine + b * sine for a, b in zip(first, across, strict=True)))


def _rest(mu1, mu2):
    """Return the largest root of x^3 - mu2 x - mu1, or its real part where it is no longer real."""
    discriminant = mu1**2 / 4 - mu2**3 / 27
    tiny = jnp.finfo(discriminant.dtype).tiny  # 0 would give the square root an infinite slope
    three = discriminant < 0
    angle = jnp.atan2(jnp.sqrt(jnp.maximum(-discriminant, tiny)), mu1 / 2)
    of_three = 2 * jnp.sqrt(jnp.maximum(mu2 / 3, tiny)) * jnp.cos(angle / 3)
    # Cardano's formula for the one real root's modulus; its two summands have a common sign.
    cube = jnp.abs(mu1) / 2 + jnp.sqrt(jnp.maximum(discriminant, tiny))
    summand = jnp.exp(jnp.log(jnp.maximum(cube, tiny)) / 3)
    of_one = summand + mu2 / (3 * summand)
    return jnp.where(three, of_three, jnp.where(mu1 > 0, of_one, of_one / 2))


def _bursting(x, y, z, inputs, p, start: _Point, stop: _Point):
    """Return the rates of x, y and z between the onset and the offset of a burst. [1/ms]."""
    mu1, mu2, nu = _on_arc(start, stop, p.R, z)
    rest = p.branch * _rest(p.branch * mu1, mu2)
    distance = jnp.sqrt((x - rest) ** 2 + y * y)
    return (
        -y + inputs.x,
        x**3 - mu2 * x - mu1 - y * (nu + p.b * x + x * x),
        -p.c * (distance - p.dstar + p.restore * (z - 0.5) ** 7 + inputs.z),
    )


class EpileptorCodim3State(NamedTuple):
    """State of `epileptor_codim3`, one value per region each: `(region,)`.

    Attributes:
        x: fast variable, which looks like a field potential. [1]
        y: fast variable, the negative rate of change of x. [1]
        z: slow variable, the angle along the path from onset to offset. [rad]

    Example:
        >>> cf.nodes.EpileptorCodim3State(*jnp.zeros((3, 2))).x.shape
        (2,)
    """

    x: Array
    y: Array
    z: Array


class EpileptorCodim3Params(eqx.Module):
    """Parameters of `epileptor_codim3`, each a scalar or one value per region, `(region,)`.

    Attributes:
        mu1_start: mu1 at the onset of a burst. [1]
        mu2_start: mu2 there. [1]
        nu_start: nu there. [1]
        mu1_stop: mu1 at the offset of a burst. [1]
        mu2_stop: mu2 there. [1]
        nu_stop: nu there. [1]
        b: coefficient of the unfolding, which sets its type: 1 is the focus. [1]
        R: radius of the sphere on which onset and offset lie. [1]
        c: rate of z. [1/ms]
        dstar: distance from rest at which z turns round. [1]
        branch: 1 for rest on the upper branch of fixed points, -1 for the lower. [1]
        restore: strength of the term that keeps z near 0.5; 0 is the paper's equation. [1]

    Example:
        >>> cf.nodes.EpileptorCodim3Params(c=0.002).c.item()
        0.002...
    """

    mu1_start: Scalar | PerTarget = parameter("mu1_start", -0.02285, "1")
    mu2_start: Scalar | PerTarget = parameter("mu2_start", 0.3448, "1")
    nu_start: Scalar | PerTarget = parameter("nu_start", 0.2014, "1")
    mu1_stop: Scalar | PerTarget = parameter("mu1_stop", -0.07465, "1")
    mu2_stop: Scalar | PerTarget = parameter("mu2_stop", 0.3351, "1")
    nu_stop: Scalar | PerTarget = parameter("nu_stop", 0.2053, "1")
    b: Scalar | PerTarget = parameter("b", 1.0, "1")
    R: Scalar | PerTarget = parameter("R", 0.4, "1")
    c: Scalar | PerTarget = parameter("c", 0.001, "1/ms")
    dstar: Scalar | PerTarget = parameter("dstar", 0.3, "1")
    branch: Scalar | PerTarget = parameter("branch", 1.0, "1")
    restore: Scalar | PerTarget = parameter("restore", 0.1, "1")


@node(
    state=EpileptorCodim3State,
    params=EpileptorCodim3Params,
    states={"x": "1", "y": "1", "z": "rad"},
    inputs={"x": "1/ms", "z": "1"},
    coupled=[("x", "z")],
    ranges={"x": (-0.8, 0.8), "y": (-0.4, 0.4), "z": (0.0, 0.15)},
    implied=["ms"],
)
def epileptor_codim3(
    state: EpileptorCodim3State, inputs, params: EpileptorCodim3Params
) -> EpileptorCodim3State:
    r"""Compute the rates of change of a burster on a path between the onset and the offset of seizures.

    $\dot x = -y + I_x$, $\dot y = x^3 - \mu_2 x - \mu_1 - y\,(\nu + b x + x^2)$,
    $\dot z = -c\,\bigl(\sqrt{(x - x_s)^2 + y^2} - d^* + m (z - 0.5)^7 + I_z\bigr)$ with $m$ = `restore`.
    $(\mu_1, \mu_2, \nu)$ is the point on the great circle of radius R from the onset through the offset,
    at the angle z from the onset; $x_s$ is the fixed point of rest, the largest root of
    $x^3 - \mu_2 x - \mu_1$ (with `branch` = -1 the smallest).

    One unit of the paper's time is 1 ms. By default x is coupled into z: couple with
    `DiffusiveCoupling`; its k is The Virtual Brain's Ks. The input x is for stimuli.

    Args:
        state: x, y [1], z [rad].
        inputs: x, which is added to its rate of change [1/ms], and z, which is subtracted within
            c (...) [1].
        params: `EpileptorCodim3Params`.

    Source:
        M. L. Saggio, A. Spiegler, C. Bernard and V. K. Jirsa, J. Math. Neurosci. 7 (2017) 7. The
        defaults are The Virtual Brain's, an onset by a saddle node and an offset by a saddle homoclinic
        orbit, and so is `restore` (its `modification`). The paper leaves open what $x_s$ is where rest
        has vanished and only one root is real: as in The Virtual Brain, it is the real part of the
        roots that rest became one of. For `branch` = -1 The Virtual Brain (N = 2) takes another value
        there.

    Example:
        >>> state = cf.nodes.EpileptorCodim3State(*jnp.array([[0.0], [0.5], [0.0]]))
        >>> no_input = cf.nodes.EpileptorCodim3State(0.0, 0.0, 0.0)
        >>> params = cf.nodes.EpileptorCodim3Params(mu1_start=0.0, mu2_start=0.0, nu_start=0.5, R=0.5)
        >>> rate = cf.nodes.epileptor_codim3(state, no_input, params)
        >>> rate.x.tolist(), rate.y.tolist()
        ([-0.5], [-0.25])
    """
    start, stop = _point(params, "start"), _point(params, "stop")
    return EpileptorCodim3State(*_bursting(*state, inputs, params, start, stop))


class EpileptorCodim3SlowModState(NamedTuple):
    """State of `epileptor_codim3_slow_mod`, one value per region each: `(region,)`.

    Attributes:
        x: fast variable, which looks like a field potential. [1]
        y: fast variable, the negative rate of change of x. [1]
        z: slow variable, the angle along the path from onset to offset. [rad]
        uA: angle by which the onset has moved. [rad]
        uB: angle by which the offset has moved. [rad]

    Example:
        >>> cf.nodes.EpileptorCodim3SlowModState(*jnp.zeros((5, 2))).uA.shape
        (2,)
    """

    x: Array
    y: Array
    z: Array
    uA: Array
    uB: Array


class EpileptorCodim3SlowModParams(eqx.Module):
    """Parameters of `epileptor_codim3_slow_mod`, each a scalar or one value per region, `(region,)`.

    Attributes:
        mu1_Ain: mu1 of the onset where uA is 0. [1]
        mu2_Ain: mu2 there. [1]
        nu_Ain: nu there. [1]
        mu1_Bin: mu1 of the offset where uB is 0. [1]
        mu2_Bin: mu2 there. [1]
        nu_Bin: nu there. [1]
        mu1_Aend: mu1 of the point towards which the onset moves. [1]
        mu2_Aend: mu2 there. [1]
        nu_Aend: nu there. [1]
        mu1_Bend: mu1 of the point towards which the offset moves. [1]
        mu2_Bend: mu2 there. [1]
        nu_Bend: nu there. [1]
        b: coefficient of the unfolding, which sets its type: 1 is the focus. [1]
        R: radius of the sphere on which onset and offset lie. [1]
        c: rate of z. [1/ms]
        cA: rate at which the onset moves. [rad/ms]
        cB: rate at which the offset moves. [rad/ms]
        dstar: distance from rest at which z turns round. [1]
        branch: 1 for rest on the upper branch of fixed points, -1 for the lower. [1]
        restore: strength of the term that keeps z near 0.5; 0 is the paper's equation. [1]

    Example:
        >>> cf.nodes.EpileptorCodim3SlowModParams(cA=0.0).cA.item()
        0.0
    """

    mu1_Ain: Scalar | PerTarget = parameter("mu1_Ain", 0.05494, "1")
    mu2_Ain: Scalar | PerTarget = parameter("mu2_Ain", 0.2731, "1")
    nu_Ain: Scalar | PerTarget = parameter("nu_Ain", 0.287, "1")
    mu1_Bin: Scalar | PerTarget = parameter("mu1_Bin", -0.0461, "1")
    mu2_Bin: Scalar | PerTarget = parameter("mu2_Bin", 0.243, "1")
    nu_Bin: Scalar | PerTarget = parameter("nu_Bin", 0.3144, "1")
    mu1_Aend: Scalar | PerTarget = parameter("mu1_Aend", 0.06485, "1")
    mu2_Aend: Scalar | PerTarget = parameter("mu2_Aend", 0.07337, "1")
    nu_Aend: Scalar | PerTarget = parameter("nu_Aend", -0.3878, "1")
    mu1_Bend: Scalar | PerTarget = parameter("mu1_Bend", 0.03676, "1")
    mu2_Bend: Scalar | PerTarget = parameter("mu2_Bend", -0.02792, "1")
    nu_Bend: Scalar | PerTarget = parameter("nu_Bend", -0.3973, "1")
    b: Scalar | PerTarget = parameter("b", 1.0, "1")
    R: Scalar | PerTarget = parameter("R", 0.4, "1")
    c: Scalar | PerTarget = parameter("c", 0.002, "1/ms")
    cA: Scalar | PerTarget = parameter("cA", 0.0001, "rad/ms")
    cB: Scalar | PerTarget = parameter("cB", 0.00012, "rad/ms")
    dstar: Scalar | PerTarget = parameter("dstar", 0.3, "1")
    branch: Scalar | PerTarget = parameter("branch", 1.0, "1")
    restore: Scalar | PerTarget = parameter("restore", 0.1, "1")


@node(
    state=EpileptorCodim3SlowModState,
    params=EpileptorCodim3SlowModParams,
    states={"x": "1", "y": "1", "z": "rad", "uA": "rad", "uB": "rad"},
    inputs={"x": "1/ms", "z": "1"},
    coupled=[("x", "z")],
    ranges={
        "x": (-0.8, 0.8),
        "y": (-0.4, 0.4),
        "z": (0.0, 0.15),
        "uA": (0.0, 2.0),
        "uB": (0.0, 2.0),
    },
    angles=["uA", "uB"],
    implied=["ms"],
)
def epileptor_codim3_slow_mod(
    state: EpileptorCodim3SlowModState, inputs, params: EpileptorCodim3SlowModParams
) -> EpileptorCodim3SlowModState:
    r"""Compute the rates of change of `epileptor_codim3` whose onset and offset move slowly.

    $\dot u_A = c_A$, $\dot u_B = c_B$. The onset is the point on the great circle of radius R from A_in
    through A_end, at the angle $u_A$ from A_in, and the offset likewise that from B_in through B_end.
    x, y and z follow `epileptor_codim3` between these two. So seizures of one class turn into those
    of another.

    One unit of the paper's time is 1 ms. By default x is coupled into z: couple with
    `DiffusiveCoupling`; its k is The Virtual Brain's Ks. The input x is for stimuli.

    Args:
        state: x, y [1], z, uA, uB [rad].
        inputs: x, which is added to its rate of change [1/ms], and z, which is subtracted within
            c (...) [1].
        params: `EpileptorCodim3SlowModParams`.

    Source:
        M. L. Saggio, A. Spiegler, C. Bernard and V. K. Jirsa, J. Math. Neurosci. 7 (2017) 7. The
        defaults are The Virtual Brain's. For where rest has vanished, see `epileptor_codim3`.

    Example:
        >>> state = cf.nodes.EpileptorCodim3SlowModState(*jnp.zeros((5, 1)))
        >>> no_input = cf.nodes.EpileptorCodim3SlowModState(0.0, 0.0, 0.0, 0.0, 0.0)
        >>> params = cf.nodes.EpileptorCodim3SlowModParams(cA=0.25, cB=0.5)
        >>> rate = cf.nodes.epileptor_codim3_slow_mod(state, no_input, params)
        >>> rate.uA.tolist(), rate.uB.tolist()
        ([0.25], [0.5])
    """
    p, (x, y, z, u_a, u_b) = params, state
    start = _on_arc(_point(p, "Ain"), _point(p, "Aend"), p.R, u_a)
    stop = _on_arc(_point(p, "Bin"), _point(p, "Bend"), p.R, u_b)
    moved = (jnp.broadcast_to(rate, u.shape) for rate, u in ((p.cA, u_a), (p.cB, u_b)))
    return EpileptorCodim3SlowModState(*_bursting(x, y, z, inputs, p, start, stop), *moved)
