"""Nodes, couplings, lags and a scheme, together a function `(state, params) -> state`."""

from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._core import (
    PyTree,
    as_arguments,
    as_float,
    constant,
    get,
    read,
    refill,
    require_choice,
    require_key,
    require_names,
    require_positive_number,
    wider,
)
from .._delays import (
    EdgeSplit,
    Interpolate,
    checked_bounds,
    checked_lags,
    checked_past,
    choose_block_sizes,
    split_edges,
    within_bounds,
)
from .._node import parts_of, wrapped
from ..nodes import Node
from ..noise._draw import restarted_key
from ..noise._increments import noises_of
from ..schemes import Scheme
from ..schemes._shorthands import SchemeName, as_scheme
from ..stimuli import Time
from ._chains import at_rest, expanded, require_slow_stages, with_stages, without_stages
from ._checks import (
    by_coupling,
    checked_angles,
    checked_clip,
    checked_limits,
    checked_substeps,
    require_all_lags,
    require_fitting_coupling,
    require_fitting_params,
    require_node,
    require_params,
    require_periodic,
    require_places,
    require_states,
    within_count,
)
from ._fields import NetworkFields
from ._links import history_depths, links_of, require_same_dt
from ._params import Angles, Clip, Hold, Params, State, TimeStep, Wire, require_state
from ._step import prepare_step
from ._time_varying import in_time, values_at
from ._wires import checked_wires


class Network(NetworkFields):
    r"""Couple nodes into a network: a pure function `net(state, params) -> state`.

    $\dot x_i = f(x_i,\, \sum_c c_i(x(t - \tau_c), x_i(t)) + u_i(t)) + \sigma\,\xi_i(t)$

    The network fixes the program: names, dt, scheme, the smallest and the largest lag. What may
    vary without compiling again is in `Params`. The network itself has no state.

    Args:
        node: the dynamics of a region: `nodes.hopf`, ..., or your own function decorated by
            `nodes.node`.
        dt: time step. [ms]
        couplings: a `Wire` for the only coupling, or a dict of wires by name. By default there is one
            coupling, wired as the node says (`node.coupled`). `Params.coupling` goes by these names.
        lags: whole lags `(target, source)` from `lags()`; or one lag for all edges; or `(edge,)` for
            the stored edges of a `SparseConnection`; a dict by name if couplings differ, with all of
            them; None for no delay. [steps]
        lag_bounds: the smallest and largest lag that may occur, of each edge, from `lag_bounds()`, or
            two numbers for all edges; a dict of such pairs if couplings differ. Without `lags`, lags
            follow from `Params.lengths` and `Params.speed`. [steps]
        interpolate: None reads a history at the nearest step. "linear" reads between steps, so that
            `lengths` and `speed` have gradients; what is interpolated are the messages.
        scheme: "euler" (order 1), "heun" (order 2) or "rk4" (order 4; in a delayed network order 2,
            because between steps delayed sums are interpolated linearly); or a scheme of `cf.schemes`,
            your own, too.
        hold: "stage" evaluates the input of the nodes, coupling and external, at the time and state of
            each stage of the scheme. "coupling" evaluates the coupling once per step, and external
            input per stage. "step" evaluates both once per step, as the field's reference simulator
            does with its coupling and its stimuli. With either, every scheme is of first order in what
            is held. Noise that adds to the rate of a state is not held.
        noise_step: the time step of the noise, of which dt is a multiple; dt by default. The
            increments within a step are summed, so that runs with the same key and `noise_step` follow
            the same path of the noise whatever their dt (Brownian refinement). [ms]
        bounds: what states are clipped to after each step: a dict of `(lowest, highest)` by state,
            with None for no bound, or "node" for the node's own (`node.bounds`). A state that the dict
            does not name is not clipped, and by default none is. Where a state is held at a bound, its
            gradient through that step is 0.
        clip: "step" clips after each step alone. "stages" clips the states at the later stages of the
            scheme, too, before it takes the rates there: Heun's predictor, say. That is how the
            field's reference simulator clips.
        angles: "wrap" takes whole turns off those states of the node that are angles (`node.angles`)
            after each step, so that they stay in [-pi, pi) and keep their digits; the derivative is
            that of the angle itself. "grow" leaves them as they are, for rules that take them as
            numbers and for counting turns; in float32 they lose their rate after some minutes.

    Raises:
        ValueError: if a wire names a state or an input that the node does not have; if dt is not
            positive or not a multiple of `noise_step`; if lags are negative, not whole, or outside
            their bounds, or a dict of them leaves a coupling out; if `bounds` names another state or an
            angle that is wrapped, is empty, or the node has none; if `clip` or `angles` has nothing
            to act on.
        TypeError: if `node` is no node function, or lags or bounds are no numbers.

    Example:
        >>> conn = jnp.array([[0.0, 0.0], [1.0, 0.0]])  # region 0 drives region 1
        >>> lags = jnp.array([[1, 1], [3, 1]])
        >>> net = cf.Network(cf.nodes.linear, dt=1.0, lags=lags, scheme="euler")
        >>> params = cf.Params(cf.nodes.LinearParams(a=-1.0), cf.AdditiveCoupling(conn))
        >>> state = net.init(cf.nodes.LinearState(jnp.array([8.0, 0.0])), params, history=0.0)
        >>> for _ in range(4):
        ...     state = net(state, params)
        >>> state.node.x.tolist()  # what region 0 sent at the start has just arrived
        [0.0, 8.0]
    """

    def __init__(
        self,
        node: Node,
        dt: float,
        *,
        couplings: Wire | Mapping[str, Wire] | None = None,
        lags: Any = None,
        lag_bounds: Any = None,
        interpolate: Interpolate = None,
        scheme: Scheme | SchemeName = "heun",
        hold: Hold = "stage",
        noise_step: float | None = None,
        bounds: Literal["node"] | Mapping[str, tuple[float | None, float | None]] | None = None,
        clip: Clip = "step",
        angles: Angles = "wrap",
    ):
        require_node(node)
        if isinstance(dt, Mapping):
            raise TypeError(
                "`dt` must be one number: all subnetworks take their steps together, because each reads "
                "the others' past in steps. Give the smallest that one of them needs."
            )
        require_positive_number("dt", dt, "ms")
        require_choice("interpolate", interpolate, (None, "linear"))
        require_choice("hold", hold, ("stage", "coupling", "step"))
        couplings = checked_wires(node, couplings)
        if interpolate is not None and (lags is not None or lag_bounds is None):
            raise ValueError(
                f'`interpolate="{interpolate}"` reads at lengths / speed from Params, not at whole '
                "lags: give `lag_bounds=cf.lag_bounds(lengths, speed, dt)` and no `lags`."
            )
        delays = (lags, lag_bounds)
        lags = by_coupling("lags", lags, couplings)
        lag_bounds = by_coupling("lag_bounds", lag_bounds, couplings)
        require_all_lags(delays, couplings)
        self.node, self.dt, self.scheme, self.hold = node, float(dt), as_scheme(scheme), hold
        self.substeps = checked_substeps(self.dt, noise_step)
        self.bounds = checked_limits(node, bounds)
        self.clip = checked_clip(clip, self.bounds)
        self.angles = checked_angles(node, angles, self.bounds)
        self.mesh = None
        self.wires = tuple(couplings.items())
        self.interpolate = interpolate
        whole = {name: checked_lags(lags[name]) for name in couplings}
        bounded = {name: checked_bounds(whole[name], lag_bounds[name]) for name in couplings}
        spans = {name: span for name, (span, _) in bounded.items()}
        self.lag_bounds = tuple(spans.items())
        for name, (span, each) in bounded.items():
            smallest, largest = map(np.ravel, span if each is None else each)
            fixed = (smallest == largest) & (largest > 0)
            if interpolate is not None and fixed.any():
                raise ValueError(
                    f"`lag_bounds` of {name!r} leave no room to read between steps: "
                    f"{smallest[fixed][0]} to {largest[fixed][0]}. Widen them by a step."
                )
        # Lags are checked once, here: a check within every run would take longer to compile than
        # the run.
        self.lags = {
            name: None if lags is None else within_bounds(lags, *spans[name], bounded[name][1])
            for name, lags in whole.items()
        }
        self.edge_bounds = {
            name: None if each is None else (constant(each[0]), constant(each[1]))
            for name, (_, each) in bounded.items()
        }
        self.block_sizes, self.splits = _plan_blocks(self.lags, bounded, lag_bounds)

    def init(
        self, x0: PyTree, params: Params, *, key: Array | None = None, history: Any = None
    ) -> State:
        """Make the state that a run starts from, with its history and its random key.

        Args:
            x0: the state variables at t = 0, each `(region,)`, in a NamedTuple or a dict.
            params: the parameters that the run starts with; shapes are checked against them.
            key: a `jax.random` key, needed where there is noise.
            history: what each delayed source sent before t = 0, in steps of the network's dt: one
                number for all; where one source is delayed, an array as `make_history` takes; else a
                dict of such by state name (by the coupling's name where its source is a function),
                with all delayed sources. None, in the dict, too, means that each region has always
                been where it starts.

        Returns:
            The state, whose leaves are arrays.

        Raises:
            ValueError: if names or shapes do not fit, or noise comes without a key; if `history` is an
                array where several sources are delayed, or leaves one out; if a coupling takes an
                angle that is wrapped as a number.
            TypeError: if `key` is no random key, or `history` has floats of more bits than the states.

        Example:
            >>> net = cf.Network(cf.nodes.linear, dt=0.1, lags=4)
            >>> params = cf.Params(cf.nodes.LinearParams(), cf.AdditiveCoupling(jnp.eye(2)))
            >>> net.init(cf.nodes.LinearState(jnp.ones(2)), params).history["x"].shape
            (4, 2)
        """
        params = as_arguments(params)
        net, inner = expanded(self, params)
        if net is not self:
            x0 = self._with_stages(net, inner, x0, params)
            return net.init(x0, inner, key=key, history=history)
        x0 = _checked_states(self.node, x0)
        require_params(params)
        if key is not None:
            require_key(key)
        noises = noises_of(self.node.states, params.noise, params.external)
        noises.require_key(key)
        require_fitting_params(self.node, params, x0)
        links = links_of(self, params)
        for link in links:
            require_fitting_coupling(self.node, link, x0)
        if params.time_varying:
            start = Time.of(jnp.zeros((), jax.tree.leaves(x0)[0].dtype))
            jax.eval_shape(
                lambda time: in_time(self, links, params, values_at(params, time), x0)[1].node,
                start,
            )
        depths = history_depths(self, links)
        sources = {
            link.signals.history: read(x0, link.signals.source)
            for link in links
            if link.signals.history in depths
        }
        between = self.hold == "stage" and any(0 < at < 1 for at in self.scheme.stages)
        mixed = bool(depths) and (self.interpolate is not None or between)
        require_periodic(self.angles, links, x0, mixed)
        given = _by_source(history, list(depths))
        past = {}
        for name, depth in depths.items():
            before = given[name]
            before = sources[name] if before is None else before
            before = checked_past("history", before, depth, len(sources[name]))
            if wider(before, sources[name]):
                raise TypeError(
                    f"`history` of {name!r} is {before.dtype}, and its states are "
                    f"{sources[name].dtype}. Nothing is truncated silently: give both one dtype."
                )
            past[name] = before.astype(sources[name].dtype)
        angles = {link.signals.history for link in links if link.signals.angle}
        reference = {
            name: lax.stop_gradient(wrapped(x[0]) if name in angles else x[0])
            for name, x in sources.items()
        }
        start, dt = jnp.zeros((), jnp.int32), TimeStep(self.dt)
        return State(x0, past, start, key, reference, noises.start(key, x0), dt)

    def __call__(self, state: State, params: Params) -> State:
        """Take one step, from `state.step * dt` to one dt later; NaN past the last that is counted."""
        require_state(state)
        net, params = expanded(self, as_arguments(params))
        return prepare_step(net, params)(within_count(net, state, 1), params)

    def restart_clock(self, state: State) -> State:
        """Return a state with its clock at 0: after a warm-up, times of external input count from here.

        The states of the nodes, histories and noise states stay. The random key is replaced by one that
        follows from it and the number of steps, so that what comes draws other numbers than the steps
        from 0 on did.

        Args:
            state: where a run of this network stands.

        Returns:
            The state at time 0.

        Raises:
            ValueError: if the state was made by a network of another dt.

        Example:
            >>> net = cf.Network(cf.nodes.linear, dt=1.0, scheme="euler")
            >>> pulse = cf.stimuli.Step(3.0, onset=2.0, duration=1.0)
            >>> coupling = cf.AdditiveCoupling(jnp.zeros((1, 1)))
            >>> params = cf.Params(cf.nodes.LinearParams(a=0.0), coupling, external={"x": pulse})
            >>> quiet = cf.Params(params.node, params.coupling)
            >>> state = net.init(cf.nodes.LinearState(jnp.zeros(1)), params)
            >>> warm, _ = cf.simulate(net, state, quiet, steps=100)
            >>> state = net.restart_clock(warm)
            >>> cf.simulate(net, state, params, steps=4, record="x")[1].ravel().tolist()
            [0.0, 0.0, 3.0, 3.0]
        """
        require_state(state)
        require_same_dt(self, state)
        key = None if state.key is None else restarted_key(state.key, state.step)
        return state._replace(step=jnp.zeros_like(state.step), key=key)

    @property
    def delayed(self) -> bool:
        """Whether any coupling has lags."""
        return any(largest for _, (_, largest) in self.lag_bounds)

    def _with_stages(self, net: "Network", inner: Params, x0: PyTree, params: Params) -> PyTree:
        """Return `x0` with the stages of the expanded network; refuse what does not fit this one."""
        own = _checked_states(self.node, without_stages(net.node, x0))
        require_fitting_params(self.node, params, own)
        require_slow_stages(params, self.dt)
        links = links_of(self, at_rest(params))
        for link in links:
            require_fitting_coupling(self.node, link, own)
        require_periodic(self.angles, links, own, mixed=False)
        return with_stages(net, inner, x0)


def _plan_blocks(
    lags: dict[str, Array | None],
    bounded: dict[str, tuple[tuple[int, int], tuple[np.ndarray, np.ndarray] | None]],
    stated: dict[str, Any],
) -> tuple[tuple[int, ...], dict[str, EdgeSplit | None]]:
    """Return the sizes of blocks, and the edges of each coupling by size, where they can be told apart.

    They can by lags that are known and fixed, and by bounds that were stated for each edge. Where a user
    stated two numbers, the lag of any edge may vary between them.
    """
    by_edge, together = {}, []
    for name, (span, each) in bounded.items():
        if span[1] == 0:
            continue
        if stated[name] is None:
            known_lags = np.asarray(lags[name])
            each = (known_lags, known_lags) if known_lags.ndim else None
        if each is None:
            together.append(span[0])
        else:
            by_edge[name] = each
    sizes = choose_block_sizes([smallest for smallest, _ in by_edge.values()], together)
    splits = {name: split_edges(low, high, sizes) for name, (low, high) in by_edge.items()}
    return sizes, {name: splits.get(name) for name in lags}


def _by_source(history: Any, sources: list[str]) -> dict[str, Any]:
    """Return the given past of each delayed source; None stands for one that did not move."""
    if isinstance(history, Mapping):
        require_names("delayed source", history, sources)
        missing = [name for name in sources if name not in history]
        if missing:
            raise ValueError(
                f"`history` has no past of {', '.join(map(repr, missing))}, which is delayed, too. Add "
                f"`{missing[0]!r}`, with its past, with a constant, or with None if each region has "
                "always been where it starts."
            )
        return dict(history)
    if len(sources) > 1 and history is not None and np.ndim(history):
        raise ValueError(
            f"`history` is one array, {np.shape(history)}, but {len(sources)} sources are delayed: "
            f"{', '.join(map(repr, sources))}. Give a dict with the past of each: "
            f"`history={{{', '.join(f'{name!r}: ...' for name in sources)}}}`."
        )
    return dict.fromkeys(sources, history)


def _checked_states(node: Node, x0: PyTree) -> PyTree:
    """Return `x0` with float arrays, one `(region,)` per state of the node."""
    require_states(node, x0)
    x0 = refill(x0, {name: as_float("x0", get(x0, name)) for name in node.states})
    for part in parts_of(node):
        own = [name for name in node.states if not part or name.startswith(f"{part}.")]
        shapes = {name: np.shape(get(x0, name)) for name in own}
        if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
            raise ValueError(f"Each state in `x0` must have shape (region,); they have {shapes}.")
    require_places(node, x0)
    dtypes = {name: str(get(x0, name).dtype) for name in node.states}
    if len(set(dtypes.values())) > 1:
        raise TypeError(f"The states in `x0` must have one dtype; they have {dtypes}.")
    return x0
