"""A scheme for stiff leaks: what decays does so exactly, whatever the step."""

import jax
import jax.numpy as jnp
from jax import Array

from ._scheme import Scheme, with_slopes

# |z| up to which the series is summed, and its terms: z^14 / 15! is below a rounding of float64.
_SMALL, _TERMS = 0.5, 14


class ExponentialEuler(Scheme):
    r"""Step by the exponential Euler method: $x + \Delta t\, \varphi(\Delta t\, J)\, f(x)$.

    Here $\varphi(z) = (e^z - 1) / z$, and $J = \partial f_s / \partial s$ is the slope of the rate of
    each state variable by that variable, at the start of the step (`with_slopes`). A leak of any speed
    decays as it should, where Euler's steps explode once $|J| \Delta t > 2$. The scheme is exact for
    `cf.nodes.linear` with an input that is constant over the step, and otherwise of order 1, with one
    evaluation of the coupling per step.

    Noise is scaled by $\sqrt{\varphi(2 \Delta t\, J)}$ (Itô), so that `linear` with white noise has the
    variance of the Ornstein–Uhlenbeck process, whatever the step.

    Limits: the slope is that of a node's own equation. Stiffness that comes from the coupling, or from
    states of a node that pull on each other, such as a fast oscillation, is not helped: as for Euler,
    dt must resolve it. A node must be elementwise and have a forward derivative.

    Attributes:
        order: 1.
        stages: the start of the step.

    Source:
        M. Hochbruck, A. Ostermann, Acta Numerica 19 (2010) 209-286, eq. 1.5 and sec. 2.4, with the
        diagonal of the Jacobian.

    Example:
        A leak of 0.02 ms in steps of 1 ms, under a constant input of 50 per ms, rests at 1:

        >>> params = cf.Params(
        ...     cf.nodes.LinearParams(a=-50.0),
        ...     cf.AdditiveCoupling(jnp.zeros((1, 1))),
        ...     external={"x": 50.0},
        ... )
        >>> for scheme in ("euler", cf.schemes.ExponentialEuler()):
        ...     net = cf.Network(cf.nodes.linear, dt=1.0, scheme=scheme)
        ...     state = net.init(cf.nodes.LinearState(jnp.zeros(1)), params)
        ...     print(cf.simulate(net, state, params, 3)[1].x.ravel().tolist())
        [50.0, -2400.0, 117650.0]
        [1.0, 1.0, 1.0]
    """

    order = 1
    stages = (0.0,)

    def step(self, rate, x, dt):
        """Return the state at the end of the step. See `Scheme`."""
        return self._moved(x, dt, *with_slopes(rate, x, 0.0))

    def noisy_step(self, rate, x, dt, noise):
        """Return the state at the end of a step with noise. See `Scheme`."""
        rates, slopes = with_slopes(rate, x, 0.0)
        increment = jax.tree.map(
            lambda n, slope: n * jnp.sqrt(phi(2 * dt * slope)), noise(x, 0.0), slopes
        )
        return jax.tree.map(jnp.add, self._moved(x, dt, rates, slopes), increment)

    @staticmethod
    def _moved(x, dt, rates, slopes):
        return jax.tree.map(lambda x, r, slope: x + dt * phi(dt * slope) * r, x, rates, slopes)


def phi(z: Array) -> Array:
    """Return (exp(z) - 1) / z, with 1 at 0, and its derivatives, to a few roundings."""
    small = jnp.abs(z) < _SMALL
    near = jnp.where(small, z, 0)
    series = jnp.ones_like(z)
    for n in range(_TERMS, 0, -1):  # 1 + z/2 (1 + z/3 (1 + ...))
        series = 1 + near * series / (n + 1)
    far = jnp.where(small, 1, z)
    return jnp.where(small, series, jnp.expm1(far) / far)
