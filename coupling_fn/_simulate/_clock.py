"""The clock of a run: how far it counts, and external input that is over before the run begins."""

import warnings
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from .._core import known
from .._network import Network, Params, State, last_step
from ..stimuli import Stimulus


def check_clock(net: Network, state: State, params: Params, steps: int, *, wait: bool) -> None:
    """Refuse a run that would count too far, and warn of external input that is over.

    It looks at a clock that is there: not at a traced one. For one that an earlier run still computes
    it waits if told to `wait`, and where there is input that ends, so that a warning does not depend on
    how fast the machine is; else the program goes on meanwhile.
    """
    farthest = last_step(net)
    if steps > farthest:
        raise ValueError(
            f"`steps` must be at most {farthest}, as far as steps are counted, not {steps}."
        )
    if not known(state.step):
        return
    ends = [
        (f"{where} `{place}`", stimulus, end)
        for where, functions in (
            ("External input", params.external),
            ("The function of time for", params.time_varying),
        )
        for place, stimulus, end in _ends_of(functions or {})
    ]
    if not (wait or ends or _is_there(state.step)):
        return
    done = np.asarray(state.step)
    if (done < 0).any() or (done > farthest - steps).any():
        raise ValueError(
            f"`state.step` is {done.max()}, and {steps} more steps pass {farthest}, as far as steps "
            "are counted. Restart the clock: `state = net.restart_clock(state)`; times of external "
            "input then count from there."
        )
    now = float(done.min()) * net.dt if ends else 0.0
    for place, stimulus, end in ends:
        if now > 0 and end <= now:
            # The time of this run is left out, so that later parts of a run do not warn again.
            warnings.warn(
                f"{place}: its {type(stimulus).__name__} is over at {end:.6g} ms, "
                "before this run begins, so it adds nothing here, which is right if it was on in an "
                "earlier part of one run. After a warm-up, set the clock to 0 by "
                "`net.restart_clock(state)`: times count from `net.init`, through runs that continue.",
                stacklevel=3,
            )


def _is_there(x: Any) -> bool:
    return not isinstance(x, jax.Array) or x.is_ready()  # pyright: ignore[reportAttributeAccessIssue]


def _ends_of(external: dict[str, Any]) -> Iterator[tuple[str, Stimulus, float]]:
    """Yield each stimulus that ends, with its place and when that is. [ms]."""
    leaves = jax.tree_util.tree_leaves_with_path(
        external, is_leaf=lambda x: isinstance(x, Stimulus)
    )
    for path, stimulus in leaves:
        if not isinstance(stimulus, Stimulus) or not known(stimulus):
            continue
        # In NumPy: each operation of JAX would take as long as a tenth of a short run.
        here = jax.tree.map(lambda x: np.asarray(x) if isinstance(x, jax.Array) else x, stimulus)
        end = float(np.max(here.ends()))
        if end < np.inf:
            yield jax.tree_util.keystr(path, simple=True, separator="."), stimulus, end
