"""The clock of a run: how far it counts, and external input that is over before the run begins."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core import known
from .._network import Network, Params, State
from ..stimuli import Stimulus


def check_clock(net: Network, state: State, params: Params, steps: int, *, wait: bool) -> None:
    """Refuse a run that would count too far, and warn of external input that is over.

    It looks at a clock that is there: not at a traced one and, unless told to `wait`, not at one that
    an earlier run is still computing, because the program goes on while that is so.
    """
    farthest = _farthest(net)
    if steps > farthest:
        raise ValueError(
            f"`steps` must be at most {farthest}, as far as steps are counted, not {steps}."
        )
    if not known(state.step) or not (wait or _is_there(state.step)):
        return
    done = np.asarray(state.step)
    if (done < 0).any() or (done > farthest - steps).any():
        raise ValueError(
            f"`state.step` is {done.max()}, and {steps} more steps pass {farthest}, as far as steps "
            "are counted. Restart the clock: `state = net.restart_clock(state)`; times of external "
            "input then count from there."
        )
    if params.external:
        _warn_of_past_input(params.external, float(done.min()) * net.dt)


def within_count(net: Network, state: State, steps: int) -> State:
    """Return the state of a run, NaN if it would count too far: a compiled run cannot raise."""
    fits = (state.step >= 0) & (state.step <= _farthest(net) - steps)
    return state._replace(node=jax.tree.map(lambda x: jnp.where(fits, x, jnp.nan), state.node))


def _farthest(net: Network) -> int:
    """Return how many steps can be counted: noise numbers its substeps in the same 32 bits."""
    return (2**31 - 1) // net.substeps


def _is_there(x: Any) -> bool:
    return not isinstance(x, jax.Array) or x.is_ready()  # pyright: ignore[reportAttributeAccessIssue]


def _warn_of_past_input(external: dict[str, Any], now: float) -> None:
    """Warn of stimuli that are over before the run begins, each by its place."""
    if not now > 0:
        return
    leaves = jax.tree_util.tree_leaves_with_path(
        external, is_leaf=lambda x: isinstance(x, Stimulus)
    )
    for path, stimulus in leaves:
        if not isinstance(stimulus, Stimulus) or not known(stimulus):
            continue
        # In NumPy: each operation of JAX would take as long as a tenth of a short run.
        here = jax.tree.map(lambda x: np.asarray(x) if isinstance(x, jax.Array) else x, stimulus)
        end = float(np.max(here.ends()))
        if end <= now:
            place = jax.tree_util.keystr(path, simple=True, separator=".")
            # The time of this run is left out, so that later parts of a run do not warn again.
            warnings.warn(
                f"External input `{place}`: its {type(stimulus).__name__} is over at {end:.6g} ms, "
                "before this run begins, so it adds nothing here. Times count from `net.init`, through "
                "all runs that continue: `net.restart_clock(state)` sets it to 0, after a warm-up.",
                stacklevel=4,
            )
