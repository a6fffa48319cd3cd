"""The noise in the parameters of a run: what each step draws of it, and what that adds."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._core import PyTree, get, refill, require_names, require_one_or_each
from ._noise import START, Coloured, White, draw, is_noise, named, require_regions, with_values


class NoiseIncrement(NamedTuple):
    """What chance brings to one step.

    Attributes:
        fixed: what the noise adds to each state whatever it is, or None.
        white: for each state whose noise depends on the state, the increments that it multiplies.
        paths: standard normal numbers for each noise with a memory.
    """

    fixed: PyTree
    white: dict[str, Array]
    paths: dict[str, Array]


class Noises(NamedTuple):
    """All noise in some parameters.

    Attributes:
        states: the names of the node's states.
        of_state: the noise of each state that has one.
        coloured: those with a memory, by where they are, in external input too.
    """

    states: tuple[str, ...]
    of_state: Mapping[str, Any]
    coloured: dict[str, Any]

    def check(self, regions: int) -> None:
        """Refuse names and shapes that the node does not have."""
        require_names("state", self.of_state, self.states)
        for name, noise in self.of_state.items():
            if is_noise(noise):
                require_regions(f"noise.{name}", noise, regions)
            else:
                require_one_or_each("noise", noise, regions)

    def require_key(self, key: Any) -> None:
        """Refuse to draw without a random key."""
        if key is None and (self.of_state or self.coloured):
            what = "noise" if self.of_state else "external"
            raise ValueError(
                f"`params.{what}` needs a random `key`: net.init(x0, params, key=...)."
            )

    def start(self, key: Any, like: Array) -> dict[str, Array]:
        """The memories that a run starts with."""
        return {
            name: noise.start(draw(name, noise, key, START, len(like), like.dtype))
            for name, noise in self.coloured.items()
        }

    def increment(
        self, key: Any, step: Array, x: PyTree, dt: float, substeps: int
    ) -> NoiseIncrement:
        """Draw what a step needs; it depends on the key and the number of the step alone."""
        self.require_key(key)
        first = jax.tree.leaves(x)[0]
        plain = [n for n in self.states if n in self.of_state and not is_noise(self.of_state[n])]
        scale = np.sqrt(dt / substeps).item()

        def draws(one: Callable[[Array], Array]) -> Array:
            """One for each of the steps that noise is drawn at."""
            return jax.vmap(one)(step * substeps + jnp.arange(substeps, dtype=step.dtype))

        def increments(one: Callable[[Array], Array]) -> Array:
            return one(step) if substeps == 1 else draws(one).sum(axis=0)

        def of(name: str, noise: Any) -> Callable[[Array], Array]:
            return lambda n: draw(name, noise, key, n, len(first), first.dtype)

        fixed = None
        if plain:
            shape = (len(plain), len(first))
            at = partial(jax.random.fold_in, cast(Array, key))
            independent = increments(lambda n: jax.random.normal(at(n), shape, first.dtype))
            added = {name: jnp.zeros_like(first) for name in self.states}
            for name, xi in zip(plain, independent, strict=True):
                added[name] = self.of_state[name] * (scale * xi)
            fixed = refill(x, added)
        white = {
            name: scale * increments(of(f"noise.{name}", noise))
            for name, noise in self.of_state.items()
            if isinstance(noise, White)
        }
        paths = {name: draws(of(name, noise)) for name, noise in self.coloured.items()}
        return NoiseIncrement(fixed, white, paths)

    def update(
        self, memory: dict[str, Array], increment: NoiseIncrement, dt: float
    ) -> dict[str, Array]:
        """The memories after a step, in which they are moved on every `dt`."""
        moved = dict(memory)
        for name, noise in self.coloured.items():
            if name not in memory:
                raise ValueError(
                    f"The state holds no memory for the noise `{name}`: start the run with the "
                    "`params` that have it, net.init(x0, params, key=...)."
                )
            for xi in increment.paths[name]:
                moved[name] = noise.update(moved[name], xi, dt)
        return moved

    def values(self, memory: dict[str, Array]) -> dict[str, Array]:
        """What those with a memory are now."""
        return {name: noise.value(memory[name]) for name, noise in self.coloured.items()}

    def added(self, increment: NoiseIncrement, x: PyTree) -> PyTree:
        """What white noise adds at a state."""
        first = jax.tree.leaves(x)[0]
        added = {
            name: jnp.zeros_like(first) if increment.fixed is None else get(increment.fixed, name)
            for name in self.states
        }
        for name, increment in increment.white.items():
            amplitude = self.of_state[name].amplitude(x)
            what = f"amplitude` of the noise `noise.{name}"
            require_one_or_each(what, amplitude, len(first))
            added[name] = added[name] + amplitude * increment
        return refill(x, added)


def noises_of(states: Sequence[str], noise: Any, external: Any) -> Noises:
    """The noise on the states of a node, and in its external input."""
    one_for_all = noise is not None and not isinstance(noise, dict)
    of_state = dict.fromkeys(states, noise) if one_for_all else noise or {}
    where = {"noise": of_state, "external": external}
    return Noises(tuple(states), of_state, named(where, Coloured))


def check_external(external: Any, inputs: Sequence[str], regions: int) -> None:
    """Refuse external input of names or shapes that the node does not have."""
    external = external or {}
    require_names("input", external, inputs)
    for name, value in external.items():
        if not callable(value) and not is_noise(value):
            require_one_or_each(f"external` on `{name}", value, regions)
    for name, noise in named({"external": external}, Coloured).items():
        require_regions(name, noise, regions)
    for name in named({"external": external}, White):
        raise ValueError(
            f"White noise has no value at a time, so it cannot be `{name}`: put it into "
            "`params.noise`, or take one with a memory, OrnsteinUhlenbeck."
        )


def external_of(external: Any, values: dict[str, Array]) -> dict[str, Any]:
    """External input, with the values that its noises have now."""
    return with_values({"external": external or {}}, values)["external"]
