r"""The noise in the parameters of a run: what each step draws of it, and what that adds.

A step of dt [ms] draws one `NoiseIncrement`. White noise adds $g(x)\, F \sqrt{dt}\, \xi$ to the
states, with standard normal $\xi$; coloured noise updates its noise state, whose value then adds to
a rate or an input. Where noise is drawn at a finer step than dt, a step has several substeps: the
increments of white noise are summed over them, and noise states are updated once per substep.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._core import (
    PyTree,
    beside,
    calling,
    entries,
    get,
    refill,
    require_names,
    require_one_or_each,
)
from ._coloured import Coloured
from ._draw import START, draw, is_noise, named, require_regions, with_values
from ._white import White


class NoiseIncrement(NamedTuple):
    r"""What one step draws of all noise.

    Attributes:
        fixed: the increments of plain additive noise (numbers in `Params.noise`), which do not depend
            on the state: the container of the state with what to add, 0 for the states without any.
            None if no state has plain noise. [state]
        white: from the name of each state with a `White` noise to the increments
            $F \sqrt{dt}\, \xi$, `(region,)`, that the noise's amplitude multiplies. [ms^0.5]
        paths: from the path of each coloured noise to the standard normal numbers that update its
            noise state, `(substep, component, region)`. [1]
    """

    fixed: PyTree
    white: dict[str, Array]
    paths: dict[str, Array]


class Noises(NamedTuple):
    """All noise in the parameters of a run.

    Attributes:
        states: the names of the node's states.
        of_state: from the name of each state with noise to that noise: a number, one number per
            region, or a `White` or `Coloured` noise.
        coloured: from its path to each coloured noise, in `Params.external` too: "noise.x",
            "external.E.parts.1". The noise states in a run's state have the same names.
        driven: from the same paths to the name of the state or input that each noise drives.
    """

    states: tuple[str, ...]
    of_state: Mapping[str, Any]
    coloured: dict[str, Any]
    driven: dict[str, str]

    def check(self, x: PyTree) -> None:
        """Refuse names and shapes that the node does not have, in a state of which shapes are read."""
        require_names("state", self.of_state, self.states)
        for name, noise in self.of_state.items():
            regions = len(get(x, name))
            if is_noise(noise):
                require_regions(f"noise.{name}", noise, regions)
            else:
                require_one_or_each("noise", noise, regions)

    def require_key(self, key: Any) -> None:
        """Refuse to draw without a random key."""
        if key is None and (self.of_state or self.coloured):
            what = "noise" if self.of_state else "external"
            raise ValueError(
                f"`params.{what}` needs a random `key`; start the run with "
                "`net.init(x0, params, key=...)`."
            )

    def start(self, key: Any, x: PyTree) -> dict[str, Array]:
        """Return the noise states that a run starts with, by the path of each noise.

        Of the state `x` the numbers of regions and the dtype are read.
        """
        return {
            name: noise.start(self._normals(key, beside(x, self.driven[name]), name, noise)(START))
            for name, noise in self.coloured.items()
        }

    def increment(
        self, key: Any, step: Array, x: PyTree, dt: float, substeps: int
    ) -> NoiseIncrement:
        """Draw what a step needs; it depends on the key and on the number of the step alone.

        Args:
            key: the random key of the run.
            step: the number of the step.
            x: the node's state, of which only the container, the shapes and the dtype are read.
            dt: the time step. [ms]
            substeps: how many times within a step noise is drawn. [1]
        """
        self.require_key(key)
        scale = np.sqrt(dt / substeps).item()
        normals = partial(self._normals, key)
        return NoiseIncrement(
            fixed=self._fixed(key, step, x, scale, substeps),
            white={
                name: scale * _summed(normals(get(x, name), f"noise.{name}", noise), step, substeps)
                for name, noise in self.of_state.items()
                if isinstance(noise, White)
            },
            paths={
                name: _each(normals(beside(x, self.driven[name]), name, noise), step, substeps)
                for name, noise in self.coloured.items()
            },
        )

    def _normals(self, key: Any, like: Array, name: str, noise: Any) -> Callable[[Any], Array]:
        """Return the function that draws the numbers of a noise from the number of a substep."""
        return lambda number: draw(name, noise, key, number, len(like), like.dtype)

    def _fixed(self, key: Any, step: Array, x: PyTree, scale: float, substeps: int) -> PyTree:
        """Draw the increments of plain additive noise, all states at once.

        The numbers of several subnetworks are drawn side by side: cut from one network, they have its
        noise.
        """
        plain = [n for n in self.states if n in self.of_state and not is_noise(self.of_state[n])]
        if not plain:
            return None
        parts: dict[str, list[str]] = {}
        for name in plain:
            parts.setdefault(_part(x, name), []).append(name)
        sizes = [len(get(x, names[0])) for names in parts.values()]
        shape = (max(map(len, parts.values())), sum(sizes))
        at = partial(jax.random.fold_in, cast(Array, key))
        dtype = get(x, plain[0]).dtype
        drawn = _summed(lambda n: jax.random.normal(at(n), shape, dtype), step, substeps)
        added = {name: jnp.zeros_like(get(x, name)) for name in self.states}
        first = 0
        for names, size in zip(parts.values(), sizes, strict=True):
            own = drawn if len(parts) == 1 else drawn[:, first : first + size]
            first += size
            for name, xi in zip(names, own, strict=False):
                added[name] = self.of_state[name] * (scale * xi)
        return refill(x, added)

    def update(
        self, noise_state: dict[str, Array], increment: NoiseIncrement, dt: float
    ) -> dict[str, Array]:
        """Return the noise states after a step, updated once per substep.

        Here `dt` [ms] is the length of a substep.
        """
        updated = dict(noise_state)
        for name, noise in self.coloured.items():
            if name not in noise_state:
                raise ValueError(
                    f"`state.noise` has no noise state for `{name}`; it has "
                    f"{sorted(noise_state) or 'none'}. Start the run with the `params` that hold "
                    "this noise: `net.init(x0, params, key=...)`."
                )
            for xi in increment.paths[name]:
                updated[name] = noise.update(updated[name], xi, dt)
        return updated

    def values(self, noise_state: dict[str, Array]) -> dict[str, Array]:
        """Return the present value of each coloured noise, `(region,)`, by its path."""
        return {name: noise.value(noise_state[name]) for name, noise in self.coloured.items()}

    def added(self, increment: NoiseIncrement, x: PyTree) -> PyTree:
        """Return what white noise, plain numbers included, adds to each state at the state `x`."""
        fixed = increment.fixed
        added = {
            name: jnp.zeros_like(get(x, name)) if fixed is None else get(fixed, name)
            for name in self.states
        }
        for name, dW in increment.white.items():
            part = _part(x, name)
            with calling(f"The amplitude of the noise on `{name}`"):
                amplitude = self.of_state[name].amplitude(get(x, part) if part else x)
            require_one_or_each(f"amplitude` of the noise `noise.{name}", amplitude, len(dW))
            added[name] = added[name] + amplitude * dW
        return refill(x, added)


def _part(x: PyTree, name: str) -> str:
    """Return the subnetwork that a state is of; "" where there are none."""
    return "" if name in entries(x) else name.rpartition(".")[0]


def _each(one: Callable[[Array], Array], step: Array, substeps: int) -> Array:
    """Stack what `one` draws at each substep of a step; substeps are numbered through the run."""
    return jax.vmap(one)(step * substeps + jnp.arange(substeps, dtype=step.dtype))


def _summed(one: Callable[[Array], Array], step: Array, substeps: int) -> Array:
    """Sum what `one` draws over the substeps of a step."""
    return one(step) if substeps == 1 else _each(one, step, substeps).sum(axis=0)


def noises_of(states: Sequence[str], noise: Any, external: Any) -> Noises:
    """Collect the noise on the states of a node, and in its external input.

    `noise` and `external` are those of `Params`: a single noise stands for one on every state.
    """
    one_for_all = noise is not None and not isinstance(noise, dict)
    of_state = dict.fromkeys(states, noise) if one_for_all else noise or {}
    where = {"noise": of_state, "external": external}
    driven = {path: name for path, name, _ in _driven(where)}
    return Noises(tuple(states), of_state, named(where, Coloured), driven)


def _driven(where: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield the path of each coloured noise, the name of the state or input it drives, and itself."""
    for kind, values in where.items():
        for name, value in (values or {}).items():
            for path, noise in named({kind: {name: value}}, Coloured).items():
                yield path, name, noise


def check_external(external: Any, inputs: Sequence[str], x: PyTree) -> None:
    """Refuse external input of names or shapes that the node does not have, in a state of it."""
    external = external or {}
    require_names("input", external, inputs)
    for name, value in external.items():
        if not callable(value) and not is_noise(value):
            require_one_or_each(f"external` on `{name}", value, len(beside(x, name)))
    for path, name, noise in _driven({"external": external}):
        require_regions(path, noise, len(beside(x, name)))
    for name in named({"external": external}, White):
        raise ValueError(
            f"White noise has no value at a time, so it cannot be `{name}`: put it into "
            "`params.noise`, or use coloured noise, such as `cf.noise.OrnsteinUhlenbeck`."
        )


def external_of(external: Any, values: dict[str, Array]) -> dict[str, Any]:
    """Return the external input with each coloured noise replaced by its present value."""
    return with_values({"external": external or {}}, values)["external"]
