"""Run a system with delays block by block, with the adjoint of the whole run.

`_forward.py` has the loop over blocks and the equation of the delayed sums; `_adjoint.py` has the
backward loop and the equations of the cotangents. Here the two are joined to one function that JAX
can batch and differentiate.
"""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_derivatives import CustomVJPPrimal, SymbolicZero

from .._core import PyTree, as_cotangent, closed_function, vary_floats, varying_axes
from ._adjoint import AdjointArgs, adjoint
from ._buffers import (
    BlockFunction,
    BlockInput,
    RunInput,
    added,
    arranged_weights,
    pad_front,
    sums_of_block,
    window_starts,
    zeros_for_none,
)
from ._forward import ForwardArgs, RunOutput, forward
from ._plan import RunPlan
from ._run_layout import RunLayout, run_with_layout


def run_blocks(
    block: BlockFunction, start: RunInput, plan: RunPlan, handed: dict[str, int], *, reverse: bool
) -> RunOutput:
    """Run the blocks of `plan`.

    Args:
        block: what happens within a block of steps; it may close over traced values.
        start: what the run starts from.
        plan: how it is cut.
        handed: how many steps of what a source sent before the present a block is handed, by source.
        reverse: whether the run has the adjoint of `_adjoint.py`, and no forward mode; without it,
            JAX differentiates the run by its own rules.

    Returns:
        The state after the run, the history of each delayed source, and the record, block by block.
    """
    sums = tuple(
        jax.tree.map(lambda m, e=e, w=w: _no_sums(m, w, plan.block_size, e[0].targets), messages)
        for e, w, messages in zip(start.edges, start.weights, start.messages, strict=True)
    )

    # What the block closes over must be an argument, to be batched and to have a gradient; and only what
    # it reads may be, or cotangents of whole connections would be carried along.
    def converted(start: RunInput, sums: PyTree) -> Any:
        before = {key: start.source_states[key][-1 - times : -1] for key, times in handed.items()}
        return closed_function(block, BlockInput(start.state, before, sums, start.step))

    closed = converted(start, sums)
    # Inside `jax.shard_map`, all that blocks pass on varies as what they read.
    if axes := varying_axes(closed, start):
        start, sums = vary_floats((start, sums), axes)
        closed = converted(start, sums)
    consts, program = eqx.partition(closed, eqx.is_array)

    def run(args: ForwardArgs, *, save: bool, save_messages: bool):
        loop = partial(forward, program, plan, handed, save, save_messages)
        return run_with_layout(loop, args, plan.mesh)

    args = ForwardArgs(consts, start)
    if not reverse:
        return run(args, save=False, save_messages=False)[0]
    floats, others = eqx.partition(args, eqx.is_inexact_array)

    @jax.custom_vjp
    def run_with_adjoint(floats, others):
        return run(eqx.combine(floats, others), save=False, save_messages=False)[0]

    def run_and_save(floats, others):
        asked = jax.tree.map(lambda x: _flag(x.perturbed), floats, is_leaf=_is_primal)
        floats, others = jax.tree.map(lambda x: x.value, (floats, others), is_leaf=_is_primal)
        save_messages = any(map(_is_set, jax.tree.leaves(asked.run.weights)))
        out, saved = run(eqx.combine(floats, others), save=True, save_messages=save_messages)
        return out, (floats, others, asked, saved)

    def run_backwards(residuals, output_bar):
        floats, others, asked, saved = residuals
        varying, fixed = eqx.partition(floats, jax.tree.map(_is_set, asked))
        output_bar = jax.tree.map(_none_for_zero, output_bar)
        args = AdjointArgs(varying, eqx.combine(fixed, others), saved, output_bar)

        loop = partial(adjoint, program, plan, handed)
        # JAX 0.6 also remembers which cotangents are None, so zeros stand for those.
        floats_bar = zeros_for_none(run_with_layout(loop, args, plan.mesh), floats)
        return as_cotangent(floats_bar, floats), None

    run_with_adjoint.defvjp(run_and_save, run_backwards, symbolic_zeros=True)
    return run_with_adjoint(floats, others)


def _no_sums(messages: Array, weights: PyTree, steps: int, targets: int) -> Array:
    return jnp.zeros((steps, targets), jnp.result_type(messages, *jax.tree.leaves(weights)))


# Only what a gradient is asked for is carried backwards, because the rest would cost as much. Which
# leaves these are is told to the backward pass by the sizes of arrays, not by None: JAX remembers one
# structure of residuals for a program, also where it runs twice, the second time from a state that
# varies.


def _flag(is_set: bool) -> Array:
    return jnp.zeros(int(is_set))


def _is_set(flag: Array) -> bool:
    return flag.size > 0


def sums_at_present(edges, weights, messages: PyTree, plan: RunPlan) -> tuple[PyTree, ...]:
    """Return the delayed sums at the present, of the messages before it, rounded as within a run."""
    layout = RunLayout(None, None)
    depth = max(map(len, jax.tree.leaves(messages)), default=0)  # histories may differ in length
    starts = window_starts(edges, depth, depth, layout)
    buffers = jax.tree.map(lambda x: layout.as_buffer(pad_front(x, depth)), messages)
    weights = arranged_weights(edges, weights)
    sums = (None,) * len(edges)
    for level, size in enumerate(plan.sizes):
        chosen = plan.at_level(level)
        new = sums_of_block(edges, weights, buffers, starts, 0, size, layout, chosen, depth)
        sums = added(sums, jax.tree.map(lambda x: x[:, 0, 0], new))
    return sums


def _is_primal(x: Any) -> bool:
    return isinstance(x, CustomVJPPrimal)


def _none_for_zero(x: Any) -> Array | None:
    """Return None for a symbolic zero, or the cotangent (float0) of a leaf without a derivative."""
    return None if isinstance(x, SymbolicZero) or x.dtype == jax.dtypes.float0 else x
