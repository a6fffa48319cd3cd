"""The Epileptor beside an oscillator of the resting state, in one region."""

from typing import NamedTuple

from jax import Array

from .._core import PerTarget, Scalar, parameter
from .._node import node
from ._epileptor import EpileptorParams, EpileptorState, epileptor


class EpileptorRestingStateState(NamedTuple):
    """State of `epileptor_resting_state`, one value per region each: `(region,)`.

    Attributes:
        x1: fast variable of the first population. [1]
        y1: fast variable of the first population. [1]
        z: slow permittivity, which starts and ends seizures. [1]
        x2: variable of the second population. [1]
        y2: variable of the second population. [1]
        g: filtered x1. [1]
        x_rs: fast variable of the oscillator. [1]
        y_rs: slow variable of the oscillator. [1]

    Example:
        >>> cf.nodes.EpileptorRestingStateState(*jnp.zeros((8, 2))).x_rs.shape
        (2,)
    """

    x1: Array
    y1: Array
    z: Array
    x2: Array
    y2: Array
    g: Array
    x_rs: Array
    y_rs: Array


class EpileptorRestingStateParams(EpileptorParams):
    """Parameters of `epileptor_resting_state`, each a scalar or one value per region, `(region,)`.

    Attributes:
        a: coefficient of the cube in x1. [1]
        b: coefficient of the square in x1. [1]
        c: constant term of y1. [1]
        d: coefficient of the square in y1. [1]
        r: ratio of the rate of z to the rate of the other variables. [1]
        s: weight of x1 in z. [1]
        x0: excitability: above about -2.06 the region has seizures by itself. [1]
        I_1: constant input to the first population. [1]
        I_2: constant input to the second population. [1]
        slope: linear term of the first population in a seizure. [1]
        tau: ratio of the time constant of y2 to that of the other variables. [1]
        aa: weight of x2 in y2. [1]
        bb: weight of g, the filtered x1, in x2. [1]
        tt: rate of the variables of the Epileptor. [1/ms]
        tau_rs: time scale of y_rs relative to x_rs. [1]
        current_rs: constant input to the oscillator. [1]
        a_rs: vertical shift of the oscillator's y nullcline. [1]
        b_rs: linear term of its y nullcline. [1]
        d_rs: rate of both variables of the oscillator. [1/ms]
        e_rs: square in its x nullcline. [1]
        f_rs: cube in its x nullcline. [1]
        alpha_rs: weight of y_rs in x_rs. [1]
        beta_rs: decay of y_rs. [1]
        gamma_rs: weight of the oscillator's constant and coupled input. [1]

    Example:
        >>> cf.nodes.EpileptorRestingStateParams(x0=-2.4).x0.item()
        -2.4...
    """

    tau_rs: Scalar | PerTarget = parameter("tau_rs", 1.0, "1")
    current_rs: Scalar | PerTarget = parameter("current_rs", 0.0, "1")
    a_rs: Scalar | PerTarget = parameter("a_rs", -2.0, "1")
    b_rs: Scalar | PerTarget = parameter("b_rs", -10.0, "1")
    d_rs: Scalar | PerTarget = parameter("d_rs", 0.02, "1/ms")
    e_rs: Scalar | PerTarget = parameter("e_rs", 3.0, "1")
    f_rs: Scalar | PerTarget = parameter("f_rs", 1.0, "1")
    alpha_rs: Scalar | PerTarget = parameter("alpha_rs", 1.0, "1")
    beta_rs: Scalar | PerTarget = parameter("beta_rs", 1.0, "1")
    gamma_rs: Scalar | PerTarget = parameter("gamma_rs", 1.0, "1")


@node(
    state=EpileptorRestingStateState,
    params=EpileptorRestingStateParams,
    states=dict.fromkeys(EpileptorRestingStateState._fields, "1"),
    inputs={"x1": "1", "z": "1", "x2": "1", "x_rs": "1"},
    coupled=[("x1", "z")],
    ranges={**epileptor.ranges, "x_rs": (-2.0, 4.0), "y_rs": (-6.0, 6.0)},
    auxiliary=epileptor.auxiliary,
)
def epileptor_resting_state(
    state: EpileptorRestingStateState, inputs, params: EpileptorRestingStateParams
) -> EpileptorRestingStateState:
    r"""Compute the rates of change of the Epileptor and of an oscillator of the resting state.

    x1, y1, z, x2, y2 and g follow `epileptor`. The oscillator is a `generic_2d_oscillator`, whose
    parameters end in `_rs` here:
    $\dot x = d\tau(\alpha y - f x^3 + e x^2 + \gamma I + \gamma I_{x_{rs}})$,
    $\dot y = d\,(a + b x - \beta y)/\tau$ with the constant input $I$. The two do not act on each other;
    what is measured is a mixture of both.

    By default x1 is coupled into z, where a positive input raises the excitability, as in
    `epileptor`: The Virtual Brain's Ks is -k. x_rs is coupled by a second coupling,
    `Wire("x_rs", into="x_rs")`, with The Virtual Brain's K_rs as k.

    Args:
        state: x1, y1, z, x2, y2, g, x_rs, y_rs. [1]
        inputs: x1, x2, which are added to their rates of change in units of `tt`, z, which is
            subtracted within r (...), and x_rs, which is added to the oscillator's current. [1]
        params: `EpileptorRestingStateParams`.

    Auxiliary:
        lfp: x2 - x1, which looks like a local field potential. [1]

    Source:
        J. Courtiol, M. Guye, F. Bartolomei, S. Petkoski and V. K. Jirsa, J. Neurosci. 40 (2020)
        5572-5588. The defaults are The Virtual Brain's. Its parameter p, the share of the oscillator in
        the measured signal, is not in its equations, and so not here: mix recorded signals.

    Example:
        >>> state = cf.nodes.EpileptorRestingStateState(*jnp.zeros((8, 1)))._replace(x_rs=jnp.ones(1))
        >>> no_input = cf.nodes.EpileptorRestingStateState(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        >>> params = cf.nodes.EpileptorRestingStateParams(d_rs=0.5)
        >>> rate = cf.nodes.epileptor_resting_state(state, no_input, params)
        >>> rate.x_rs.tolist(), rate.y_rs.tolist()
        ([1.0], [-6.0])
    """
    p, x, y = params, state.x_rs, state.y_rs
    seizing = epileptor(EpileptorState(*state[:6]), inputs, params)
    cubic = p.alpha_rs * y - p.f_rs * x**3 + p.e_rs * x * x
    current = p.gamma_rs * (p.current_rs + inputs.x_rs)
    return EpileptorRestingStateState(
        *seizing,
        x_rs=p.d_rs * p.tau_rs * (cubic + current),
        y_rs=p.d_rs * (p.a_rs + p.b_rs * x - p.beta_rs * y) / p.tau_rs,
    )
