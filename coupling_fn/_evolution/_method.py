"""Ask and tell: a population-based method, for several starts at once.

A method works on rows of numbers that begin around 0 with a standard deviation of 1. Where these
stand in the unconstrained values of a fit is not its business.
"""

import contextlib
import functools
import inspect
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from .._core import PyTree
from .._fit import strong

PARTS = ("default_params", "init", "ask", "tell")


class Method(eqx.Module):
    """A method for populations of one size; its states have a leading axis of starts.

    Attributes:
        algorithm: an object with `PARTS`, as evosax makes them.
        settings: its `default_params`.
        population: number of members.
        length: number of values of a member.
        from_members: whether it begins from members and their losses, and not from a mean.
    """

    algorithm: Any = eqx.field(static=True)
    settings: PyTree
    population: int = eqx.field(static=True)
    length: int = eqx.field(static=True)
    from_members: bool = eqx.field(static=True)

    def first_members(self, key: Array, starts: int) -> Float[Array, "start member value"]:
        """Draw the members to begin from; the first of each start is the start itself."""
        draws = jax.random.normal(key, (starts, self.population, self.length))
        return draws.at[:, 0].set(0)

    def begin(self, key: Array, starts: int) -> PyTree:
        """Return the states of a method that begins from a mean."""
        return self._of_each(self.algorithm.init, key, jnp.zeros((starts, self.length)))

    def begin_from(self, key: Array, members: Array, losses: Array) -> PyTree:
        """Return the states of a method that begins from members and their losses."""
        return self._of_each(self.algorithm.init, key, members, losses)

    def ask(self, key: Array, states: PyTree) -> tuple[Float[Array, "start member value"], PyTree]:
        """Return the members to evaluate, and the states after asking."""
        return self._of_each(self.algorithm.ask, key, states)

    def tell(self, key: Array, members: Array, losses: Array, states: PyTree) -> PyTree:
        """Return the states that know the losses of these members."""
        return self._of_each(self.algorithm.tell, key, members, losses, states)[0]

    def _of_each(self, part: Callable[..., Any], key: Array, *given: PyTree) -> Any:
        """Call a part of the method for each start."""
        keys = jax.random.split(key, len(jax.tree.leaves(given)[0]))
        across = (0,) * (1 + len(given))
        with _their_promotion():
            made = jax.vmap(part, (*across, None))(keys, *given, self.settings)
        # Without weak types, a state that was read from a file compiles nothing anew.
        return jax.tree.map(strong, made)


def method_of(method: Callable[..., Any] | None, population: int, length: int) -> Method:
    """Make the method that the user asks for; None is CMA-ES."""
    if method is None:
        try:
            from evosax.algorithms import CMA_ES
        except ImportError as error:
            raise ImportError(
                "cf.evolve needs evosax where no `method` is given; the extra coupling_fn[evolve] "
                "installs it."
            ) from error
        method = CMA_ES
    if not callable(method):
        raise TypeError(
            f"`method` must be a class of evosax.algorithms, or a function, not {method!r}."
        )
    made = _made if isinstance(method, Hashable) else _made.__wrapped__
    return made(method, population, length, jnp.result_type(float))


# The parts of a method are compiled once per object, so the next `evolve` gets the same object.
@functools.lru_cache(maxsize=16)
def _made(method: Callable[..., Any], population: int, length: int, dtype: Any) -> Method:
    with _their_promotion():  # `default_params` computes, too
        try:
            algorithm = method(population_size=population, solution=jnp.zeros(length, dtype))
        except AssertionError as error:
            raise ValueError(f"`method` refuses a `population` of {population}: {error}") from error
        missing = [part for part in PARTS if not hasattr(algorithm, part)]
        if missing:
            raise TypeError(
                "`method` must make an object with default_params, init, ask and tell, as the classes "
                f"of evosax.algorithms do; {type(algorithm).__name__} has no {', '.join(missing)}."
            )
        settings = jax.tree.map(jnp.asarray, algorithm.default_params)
    from_members = "population" in inspect.signature(algorithm.init).parameters
    return Method(algorithm, settings, population, length, from_members)


@contextlib.contextmanager
def _their_promotion() -> Iterator[None]:
    """Let the code of others mix dtypes and ranks as JAX does by default."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
