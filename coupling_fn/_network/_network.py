"""Nodes, couplings, lags and a scheme, together a function `(state, params) -> state`."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import Mesh

from .._connectome import SparseConnection
from .._core import (
    SCHEMES,
    STAGES,
    PyTree,
    as_float,
    by_node,
    container,
    everywhere,
    get,
    names_of,
    read,
    refill,
    require_choice,
    require_names,
    require_one_or_each,
    require_positive,
    require_positive_number,
    require_shape,
)
from .._coupling import Coupling, SumCoupling, require_k
from .._delays import (
    Interpolate,
    Split,
    checked_bounds,
    checked_lags,
    checked_past,
    choose_block,
    fractional_lags,
    nearest_lags,
    split,
    within_bounds,
)
from ..nodes import Node, catalog
from ..noise._increments import NoiseIncrement, check_external, external_of, noises_of
from ._link import Link, SeenLink, Tap, separable_link
from ._params import Params, State, Wire, require_state

Scheme = Literal["euler", "heun", "rk4"]
Hold = Literal["stage", "step"]


class Network(eqx.Module):
    r"""Couple nodes into a network: a pure function `net(state, params) -> state`.

    $\dot x_i = f(x_i,\, \sum_c c_i(x(t - \tau_c), x_i(t)) + u_i(t)) + \sigma\,\xi_i(t)$

    The network fixes the program: names, dt, scheme, the smallest and the largest lag. What may
    vary without compiling again lives in `Params`. It has no state of its own.

    Args:
        node: `hopf`, ..., or your own function named by `node`.
        dt: time step. [ms]
        couplings: a `Wire` for the one coupling, or a dict of wires by name; by default one
            coupling, wired as the node says (`node.coupled`). `Params.coupling` goes by the names.
        lags: whole lags `(target, source)` from `lags()`, or one for all, or `(edge,)` for the
            stored edges of a `SparseConnection`; a dict by name if couplings differ; None for no
            delay. [steps]
        lag_bounds: the smallest and largest lag that may occur, from `lag_bounds()`, or a dict of
            such. Without `lags` they come from `Params.lengths` and `Params.speed`.
        interpolate: None reads at the nearest step. "linear" reads between steps, from `lengths`
            and `speed`, which then have gradients: it is the messages that are interpolated.
        scheme: "euler" (order 1), "heun" (2) or "rk4" (4; between steps, delayed messages are
            interpolated linearly, which makes it 2 in a delayed network).
        hold: "stage" evaluates the coupling at the time and state of each stage of the scheme,
            "step" once a step, as the field's reference simulator does: first order then.
        noise_step: the step at which noise is drawn, of which dt is a multiple, by default dt. What
            it draws within a step is summed, so that runs with the same key and `noise_step` follow
            the same path of the noise whatever their dt (Brownian refinement). [ms]
        bounds: what to clip states to after each step: a dict of `(lowest, highest)` by state, with
            None for no bound, or "node" for what the node says (`node.bounds`). By default nothing
            is clipped. Where a state is held at a bound, its gradient through that step is 0.

    Raises:
        ValueError: if a wire names a state or an input that the node does not have, if dt is not
            positive or not a multiple of `noise_step`, if lags are negative, not whole, or outside
            their bounds, or if bounds name another state, are empty, or the node has none.

    Example:
        >>> conn = jnp.array([[0.0, 0.0], [1.0, 0.0]])  # region 0 drives region 1
        >>> net = cf.Network(cf.nodes.linear, dt=1.0, lags=jnp.array([[1, 1], [3, 1]]), scheme="euler")
        >>> params = cf.Params(cf.nodes.LinearParams(a=-1.0), cf.AdditiveCoupling(conn))
        >>> state = net.init(cf.nodes.LinearState(jnp.array([8.0, 0.0])), params, history=0.0)
        >>> for _ in range(4):
        ...     state = net(state, params)
        >>> state.node.x.tolist()  # what region 0 sent at the start has just arrived
        [0.0, 8.0]
    """

    lags: dict[str, Array | None]
    splits: dict[str, Split | None]
    node: Node = eqx.field(static=True)
    dt: float = eqx.field(static=True)
    wires: tuple[tuple[str, Wire], ...] = eqx.field(static=True)
    lag_bounds: tuple[tuple[str, tuple[int, int]], ...] = eqx.field(static=True)
    block: int = eqx.field(static=True)
    interpolate: Interpolate = eqx.field(static=True)
    scheme: Scheme = eqx.field(static=True)
    hold: Hold = eqx.field(static=True)
    substeps: int = eqx.field(static=True)
    bounds: tuple[tuple[str, tuple[float, float]], ...] = eqx.field(static=True)
    mesh: Mesh | None = eqx.field(static=True)  # whose devices share the nodes: `shard`

    def __init__(
        self,
        node: Node,
        dt: float,
        *,
        couplings: Wire | Mapping[str, Wire] | None = None,
        lags: Any = None,
        lag_bounds: Any = None,
        interpolate: Interpolate = None,
        scheme: Scheme = "heun",
        hold: Hold = "stage",
        noise_step: float | None = None,
        bounds: Literal["node"] | Mapping[str, tuple[float | None, float | None]] | None = None,
    ):
        if isinstance(node, str):
            require_names("node", [node], catalog())
            raise TypeError(f"`node` must be a function: coupling_fn.{node}, not its name.")
        if not hasattr(node, "states"):
            name = getattr(node, "__name__", "node")
            raise TypeError(
                f"`node` must know the names of its states and inputs: put "
                f"@coupling_fn.nodes.node(states=[...], inputs=[...]) above the function {name}."
            )
        require_positive_number("dt", dt, "ms")
        require_choice("interpolate", interpolate, (None, "linear"))
        require_choice("scheme", scheme, SCHEMES)
        require_choice("hold", hold, ("stage", "step"))
        if couplings is None and node.coupled:
            couplings = Wire(*map(tuple, zip(*node.coupled, strict=True)))
        if couplings is None or isinstance(couplings, Wire):
            couplings = {} if couplings is None else {"coupling": couplings}
        for wire in couplings.values():
            signals = [s for s in wire.source + wire.target if isinstance(s, str)]
            require_names("state", signals, node.states)
            require_names("input", wire.into, node.inputs)
        if interpolate is not None and (lags is not None or lag_bounds is None):
            raise ValueError(
                f'`interpolate="{interpolate}"` reads at lengths / speed from Params, not at whole '
                "lags: give `lag_bounds=coupling_fn.lag_bounds(lengths, speed, dt)` and no `lags`."
            )
        lags, lag_bounds = (
            _by_name("lags", lags, couplings),
            _by_name("lag_bounds", lag_bounds, couplings),
        )
        self.node, self.dt, self.scheme, self.hold = node, float(dt), scheme, hold
        self.substeps = 1 if noise_step is None else _checked_substeps(self.dt, noise_step)
        self.bounds = _checked_limits(node, bounds)
        self.mesh = None
        self.wires = tuple(couplings.items())
        self.interpolate = interpolate
        whole = {name: checked_lags(lags[name]) for name in couplings}
        spans = {name: checked_bounds(whole[name], lag_bounds[name]) for name in couplings}
        self.lag_bounds = tuple(spans.items())
        for name, (smallest, largest) in spans.items():
            if interpolate is not None and 0 < smallest == largest:
                raise ValueError(
                    f"`lag_bounds` of {name!r} leave no room to read between steps: {smallest} to "
                    f"{largest}. Widen them by a step."
                )
        # Looked at once, here: a check within every run would take longer to compile than the run.
        self.lags = {
            name: None if lags is None else within_bounds(lags, *spans[name])
            for name, lags in whole.items()
        }
        self.block, self.splits = self._plan(lag_bounds)

    def init(
        self, x0: PyTree, params: Params, *, key: Array | None = None, history: Any = None
    ) -> State:
        """Start a run: the first state, with its history and its random key.

        Args:
            x0: the state variables at t = 0, each `(region,)`, in a NamedTuple or dict.
            params: the parameters that the run will start with; shapes are checked against them.
            key: a `jax.random` key, needed where there is noise.
            history: what each delayed source sent before t = 0: a constant or an array as
                `make_history` takes, or a dict of such by state name (by the coupling's name where
                its source is a function). By default each region has always been where it starts.

        Raises:
            ValueError: if names or shapes do not fit, or noise comes without a key.

        Example:
            >>> net = cf.Network(cf.nodes.linear, dt=0.1, lags=4)
            >>> params = cf.Params(cf.nodes.LinearParams(), cf.AdditiveCoupling(jnp.eye(2)))
            >>> net.init(cf.nodes.LinearState(jnp.ones(2)), params).history["x"].shape
            (4, 2)
        """
        names = names_of(x0)
        require_names("state", names, self.node.states)
        require_names("state in `x0`", self.node.states, names)
        x0 = refill(x0, {name: as_float("x0", get(x0, name)) for name in self.node.states})
        shapes = {name: np.shape(get(x0, name)) for name in self.node.states}
        if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
            raise ValueError(f"Each state in `x0` must have shape (region,); they have {shapes}.")
        is_key = isinstance(key, (Array, np.ndarray)) and (
            jnp.issubdtype(key.dtype, jax.dtypes.prng_key) or jnp.shape(key) == (2,)
        )
        if key is not None and not is_key:
            raise TypeError(f"`key` must be a key from jax.random.key(seed), not {key!r}.")
        noises = noises_of(self.node.states, params.noise, params.external)
        noises.require_key(key)
        first = get(x0, self.node.states[0])
        self._check_params(params, len(first))
        links = self.links(params)
        for link in links:
            _check_shapes(link, x0)
        depths = self._depths(links)
        sources = {link.key: read(x0, link.source) for link in links if link.key in depths}
        given = history if isinstance(history, Mapping) else dict.fromkeys(depths, history)
        require_names("delayed source", given, depths)
        past = {}
        for name, depth in depths.items():
            before = given.get(name)
            before = sources[name] if before is None else before
            before = checked_past("history", before, depth, len(sources[name]))
            past[name] = before.astype(sources[name].dtype)
        origin = {name: lax.stop_gradient(x[0]) for name, x in sources.items()}
        return State(x0, past, jnp.zeros((), jnp.int32), key, origin, noises.start(key, first))

    def __call__(self, state: State, params: Params) -> State:
        """One step, from time `state.step * dt` to one dt later."""
        require_state(state)
        return self.prepared(params)(state, params)

    def prepared(self, params: Params) -> Callable[[State, Params], State]:
        """The step with its couplings worked out beforehand, for many steps of the same params."""
        return partial(self._step, self.links(params))

    def _depths(self, links: tuple[Link, ...]) -> dict[str, int]:
        """How many steps each delayed source is remembered, by the name of its past."""
        depths: dict[str, int] = {}
        for link in links:
            _, largest = dict(self.lag_bounds)[link.name]
            depths[link.key] = max(depths.get(link.key, 0), largest)
        return {key: depth for key, depth in depths.items() if depth}

    def check_past(self, state: State, links: tuple[Link, ...]) -> None:
        """Refuse the state of a network that remembers less, or something else; more does no harm."""
        wanted, got = self._depths(links), {key: len(x) for key, x in state.history.items()}
        if got.keys() != wanted.keys() or any(got[key] < wanted[key] for key in wanted):
            raise ValueError(
                f"`state` remembers {got or 'nothing'}, and this network reads {wanted or 'nothing'} "
                "[steps] of what was sent: start with its own net.init(x0, params)."
            )

    def _step(self, links: tuple[Link, ...], state: State, params: Params) -> State:
        self.check_past(state, links)
        rows = {
            link.key: jnp.concatenate(
                [state.history[link.key], read(state.node, link.source)[None]]
            )
            for link in links
            if link.key in state.history
        }
        origins = origins_of(links, state)
        past = [past_of(links, rows, origins, after) for after in self.reads]
        increment = self.noise_increment(state.key, state.step, state.node, params)
        paths = (state.noise, self.update_noise(state.noise, increment, params))
        x = self.advance(links, state.node, state.step, params, past, origins, increment, paths)
        history = {key: row[1:] for key, row in rows.items()}
        return state._replace(node=x, history=history, step=state.step + 1, noise=paths[1])

    @property
    def reads(self) -> tuple[int, ...]:
        """The steps, from now, at which the delayed sums are needed."""
        return (0,) if self.hold == "step" or STAGES[self.scheme][-1] == 0 else (0, 1)

    def links(self, params: Params) -> tuple[Link, ...]:
        """Prepare the couplings of `params` for a run: worked out once, not each step."""
        couplings = params.coupling
        if not isinstance(couplings, Mapping):
            couplings = {} if couplings is None else {"coupling": couplings}
        names = [name for name, _ in self.wires]
        require_names("coupling of the network", couplings, names)
        require_names("coupling in `params`", names, couplings)
        if params.lengths is not None and not self._takes_lengths():
            raise ValueError(
                "`params` has lengths and speed, but the network was built without `lag_bounds`, "
                "which would make it read them."
            )
        bounds = dict(self.lag_bounds)
        links = []
        for name, wire in self.wires:
            taps = self.taps(name, params)
            whole = couplings[name]
            parts = whole.parts if isinstance(whole, SumCoupling) else (whole,)
            for source, into, target in zip(wire.source, wire.into, wire.target, strict=True):
                alone = len(wire.source) == 1 and name not in self.node.states
                key = name if alone else f"{name}.{wire.source.index(source)}"
                key = source if isinstance(source, str) else key
                signals: dict[str, Any] = {"source": source, "target": target, "into": into}
                signals |= {"key": key, "name": name}
                for part in parts:
                    for tap in taps:
                        _check_against_conn(name, tap.lags, part)
                    smallest, largest = bounds[name]
                    if isinstance(part, Coupling):
                        part = _with_k_by_node(self.mesh, part)
                        how = (self.splits[name], bounds[name], self.block)
                        links.append(separable_link(signals, part, taps, *how))
                    else:
                        how = {"taps": taps, "mixed": smallest == 0, "close": largest}
                        links.append(SeenLink(**signals, coupling=part, **how))
        return tuple(links)

    def advance(
        self,
        links,
        x: PyTree,
        step: Array,
        params: Params,
        past,
        origins,
        increment: NoiseIncrement,
        paths,
    ) -> PyTree:
        """The node's next state, given the delayed part of its input at the step's start and end.

        The memories of noise, `paths`, are of its start and end, too.
        """
        first = jax.tree.leaves(x)[0]
        self._check_params(params, len(first))
        for link in links:
            _check_shapes(link, x)
        start = step.astype(first.dtype) * self.dt
        if len(past) == 2:
            middle = jax.tree.map(lambda a, b: (a + b) / 2, *past)
            past = {0.0: past[0], 0.5: middle, 1.0: past[1]}
        else:
            past = {0.0: past[0]}

        noises = noises_of(self.node.states, params.noise, params.external)

        def path(at: float) -> dict[str, Array]:
            begin, end = map(noises.values, paths)
            if at in (0.0, 1.0):
                return end if at else begin
            return {name: (1 - at) * begin[name] + at * end[name] for name in begin}

        def inputs(x: PyTree, at: float) -> Any:
            external = external_of(params.external, path(at))
            return self.inputs(links, x, external, start + at * self.dt, past[at], origins)

        held = inputs(x, 0.0) if self.hold == "step" else None

        def rate(x: PyTree, at: float) -> PyTree:
            rates = self.derivative(x, inputs(x, at) if held is None else held, params)
            values = path(at)
            if not values:
                return rates
            added: dict[str, Any] = {n: values.get(f"noise.{n}", 0.0) for n in self.node.states}
            return refill(rates, {name: get(rates, name) + added[name] for name in added})

        noise = partial(noises.added, increment) if increment.white else increment.fixed
        x = SCHEMES[self.scheme](rate, x, self.dt, noise)
        if not self.bounds:
            return x
        limits = dict(self.bounds)
        values = {n: jnp.clip(get(x, n), *limits.get(n, (None, None))) for n in names_of(x)}
        return refill(x, values)

    def inputs(self, links, x: PyTree, external: dict[str, Any], time, past, origins) -> Any:
        """What drives the node: external input at a time, and what the couplings make of the state."""
        first = jax.tree.leaves(x)[0]
        driven = {name: _at(name, value, time, first.shape) for name, value in external.items()}
        for link, origin, part in zip(links, origins, past, strict=True):
            source = read(x, link.source)
            source = everywhere(self.mesh, source) if link.reads_now else source
            received = link.receive(part, source, read(x, link.target), origin)
            require_shape(f"the input from coupling {link.name}", received, first.shape)
            driven[link.into] = driven.get(link.into, 0.0) + received
        return container(x, self.node.inputs, driven, first)

    def noise_increment(self, key: Any, step: Array, x: PyTree, params: Params) -> NoiseIncrement:
        """Draw what a step needs; it depends on the key and the number of the step alone."""
        noises = noises_of(self.node.states, params.noise, params.external)
        return noises.increment(key, step, x, self.dt, self.substeps)

    def update_noise(
        self, noise_state: dict[str, Array], increment: NoiseIncrement, params: Params
    ) -> dict[str, Array]:
        """The memories of noise one step later."""
        return noises_of(self.node.states, params.noise, params.external).update(
            noise_state, increment, self.dt / self.substeps
        )

    def derivative(self, x: PyTree, inputs: Any, params: Params) -> PyTree:
        """The node's rate of change, of the shapes that its state has."""
        name = getattr(self.node, "__name__", "node")
        try:
            derivative = self.node(x, inputs, params.node)
        except AttributeError as error:
            if error.obj is not params.node:
                raise
            raise TypeError(
                f"The node {name} asks for {error.name!r}, which `params.node`, of type "
                f"{type(params.node).__name__}, does not have."
            ) from error
        wanted = jax.tree.map(jnp.shape, x)
        got = jax.tree.map(jnp.shape, derivative)
        if got != wanted:
            raise ValueError(
                f"The node {name} must return the rate of change of each state, {wanted}, "
                f"not {got}."
            )
        return derivative

    def _plan(self, stated: dict[str, Any]) -> tuple[int, dict[str, Split | None]]:
        """Block size, and the edges that are too near for it, where lags are known and fixed."""
        fixed = {
            name: np.asarray(self.lags[name])
            for name, (_, largest) in self.lag_bounds
            if largest > 0 and stated[name] is None
        }
        least = [smallest for name, (smallest, _) in self.lag_bounds if name not in fixed]
        block = choose_block(list(fixed.values()), least)
        return block, {
            name: split(fixed[name], block) if name in fixed and fixed[name].ndim else None
            for name in self.lags
        }

    @property
    def delayed(self) -> bool:
        """Whether any coupling has lags."""
        return any(largest for _, (_, largest) in self.lag_bounds)

    def _takes_lengths(self) -> bool:
        return any(self.lags[name] is None and high > 0 for name, (_, high) in self.lag_bounds)

    def taps(self, name: str, params: Params) -> tuple[Tap, ...]:
        """The reads of a coupling's past: none, one at whole lags, or two around fractional ones."""
        smallest, largest = dict(self.lag_bounds)[name]
        lags = self.lags[name]
        if largest == 0:
            return ()
        if lags is None:
            if params.lengths is None:
                raise ValueError(
                    f"The network was built with `lag_bounds` for {name!r}: `params` must have "
                    "lengths and speed."
                )
            lengths = params.lengths
            lengths = lengths[name] if isinstance(lengths, Mapping) else lengths
            fractional = fractional_lags(lengths, params.speed, self.dt)
            lags = fractional if self.interpolate else nearest_lags(fractional)
            lags = within_bounds(lags, smallest, largest)
        if self.interpolate is None:
            return (Tap(lags),)
        # The largest lag is the later end of the last step, and one a rounding too small the start.
        whole = lax.stop_gradient(jnp.clip(jnp.floor(lags), smallest, largest - 1))
        late = lags - whole
        whole = whole.astype(jnp.int32)
        return (Tap(whole, 1 - late), Tap(whole + 1, late))

    def _check_params(self, params: Params, regions: int) -> None:
        """Refuse parameters of the node, noise and external input that do not fit it."""
        node = params.node
        for field in dataclasses.fields(node) if dataclasses.is_dataclass(node) else ():
            if "unit" in field.metadata:  # a parameter of one of our own nodes
                value = getattr(node, field.name)
                require_one_or_each(f"params.node.{field.name}", value, regions)
        noises_of(self.node.states, params.noise, params.external).check(regions)
        check_external(params.external, self.node.inputs, regions)


def _with_k_by_node(mesh: Mesh | None, coupling: Coupling) -> Coupling:
    """One k for all as one a node: its cotangent then stays on each device until the run is through.

    Of one number the devices would exchange their shares of it at every step.
    """
    if mesh is None or "k" not in coupling.__dataclass_fields__ or jnp.ndim(coupling.k):
        return coupling
    k = jnp.broadcast_to(coupling.k, coupling.conn.shape[:1])
    return eqx.tree_at(lambda c: c.k, coupling, by_node(mesh, k))


def _check_shapes(link: Link, x: PyTree) -> None:
    """Refuse weights and a k that do not fit the states they connect."""
    conn = getattr(link.coupling, "conn", None)
    if conn is not None:
        sent, own = read(x, link.source), read(x, link.target)
        meaning = f"(target, source), as many as regions in the states that {link.name!r} reads."
        require_shape("conn", conn, (len(own), len(sent)), meaning=meaning)
        require_k(link.coupling.k, len(own))


def _at(name: str, value: Any, time: Array, shape: tuple[int, ...]) -> Array:
    """External input at a time."""
    if not callable(value):
        return value
    value = value(time)
    require_one_or_each(f"external` on `{name}", value, *shape)
    return value


def past_of(links: tuple[Link, ...], rows: dict[str, Array], origins: Any, after: int) -> Any:
    """The delayed part of each link's input `after` steps from the rows' last, all edges alike."""
    return tuple(
        link.delayed(rows[link.key], len(rows[link.key]) - 1 + after, origin)
        if link.key in rows
        else None
        for link, origin in zip(links, origins, strict=True)
    )


def origins_of(links: tuple[Link, ...], state: State) -> tuple[Array | None, ...]:
    """What each delayed link measures states from, where only differences matter to its rule."""
    origin = lax.stop_gradient(state.origin)
    return tuple(origin.get(link.key) if link.shift_invariant else None for link in links)


def _by_name(argument: str, value: Any, couplings: Mapping[str, Any]) -> dict[str, Any]:
    """One value for all couplings, or a dict by their names with the rest None."""
    if isinstance(value, Mapping):
        require_names(f"coupling (in `{argument}`)", value, couplings)
        return {name: value.get(name) for name in couplings}
    return dict.fromkeys(couplings, value)


def _checked_substeps(dt: float, noise_step: Any) -> int:
    require_positive("noise_step", noise_step, "ms")
    nearest = max(round(dt / noise_step), 1)
    if abs(dt / noise_step - nearest) > 1e-6 * nearest:
        raise ValueError(
            f"`dt` must be a multiple of `noise_step`, {noise_step} ms; {dt} is not one. The nearest "
            f"`noise_step` is {dt / nearest:.10g}."
        )
    return nearest


def _checked_limits(node: Node, bounds: Any) -> tuple[tuple[str, tuple[float, float]], ...]:
    if isinstance(bounds, str):
        require_choice("bounds", bounds, ("node",))
        bounds = getattr(node, "bounds", {})
        if not bounds:
            name = getattr(node, "__name__", "node")
            raise ValueError(
                f'`bounds="node"`: the node {name} says of none of its states that it must stay in '
                "a range. Give them, `bounds={state: (lowest, highest)}`."
            )
    bounds = bounds or {}
    require_names("state (in `bounds`)", bounds, node.states)
    checked = []
    for name, pair in bounds.items():
        if not isinstance(pair, Sequence) or len(pair) != 2:
            raise TypeError(f"`bounds` of {name!r} must be (lowest, highest), not {pair!r}.")
        low, high = (
            float(end if bound is None else bound)
            for bound, end in zip(pair, (-np.inf, np.inf), strict=True)
        )
        if not low < high:
            raise ValueError(f"`bounds` of {name!r} must be lowest < highest, not {pair}.")
        checked.append((name, (low, high)))
    return tuple(checked)


def _check_against_conn(name: str, lags: Array, coupling: Any) -> None:
    conn = getattr(coupling, "conn", None)
    by_edge = [(conn.edges,)] if isinstance(conn, SparseConnection) else []
    if conn is not None and lags.ndim:
        meaning = f"The lags of {name!r} must go with its `conn`."
        require_shape("lags", lags, tuple(conn.shape), *by_edge, meaning=meaning)
    elif lags.ndim == 1:
        raise ValueError(
            f"The lags of {name!r} are one a stored edge, but its coupling has no `conn` to say "
            "which those are."
        )
