"""Fits: they find the minimum, keep the best, recover from NaN, and refuse mistakes early."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_close, refuses

import coupling_fn as cf


class Model(eqx.Module):
    k: jax.Array
    gain: jax.Array
    conn: jax.Array
    labels: tuple[str, ...] = ("left", "right")
    count: int = 2


BEST = Model(
    k=jnp.asarray(0.7),
    gain=jnp.asarray([0.5, 2.0]),
    conn=jnp.asarray([[0.0, 1.5], [0.3, 0.0]]),
)
START = Model(k=jnp.asarray(1.0), gain=jnp.ones(2), conn=jnp.full((2, 2), 0.5))


def distance(model):
    """Return a bowl with its minimum at BEST."""
    pairs = zip(jax.tree.leaves(eqx.filter(model, eqx.is_array)), TARGETS, strict=True)
    return jnp.asarray(sum(jnp.sum((x - y) ** 2) for x, y in pairs))


TARGETS = jax.tree.leaves(eqx.filter(BEST, eqx.is_array))


def rosenbrock(p):
    return (1 - p["x"]) ** 2 + 100 * (p["y"] - p["x"] ** 2) ** 2


def both(p):
    return p["x"], p["y"]


VALLEY = {"x": jnp.asarray(-1.2), "y": jnp.asarray(1.0)}


def fit(loss, params, **options):
    return cf.fit(loss, params, **{"progress": False, **options})


PICKS = {
    "k": lambda m: m.k,
    "k and gain": lambda m: (m.k, m.gain),
    "conn and k": lambda m: [m.conn, m.k],
    "all": lambda m: (m.k, (m.gain, m.conn)),
}


@pytest.mark.parametrize("where", PICKS.values(), ids=PICKS)
def test_a_bowl_has_its_lowest_point(where):
    result = fit(distance, START, where=where, optimizer=optax.sgd(0.25), steps=60)
    # The rest stays.
    wanted = eqx.tree_at(lambda m: jax.tree.leaves(where(m)), START, jax.tree.leaves(where(BEST)))
    arrays = [eqx.filter(m, eqx.is_array) for m in (result.params, result.last_params, wanted)]
    assert_close(arrays[0], arrays[2], ulps=2**28)  # a loss is flat within √eps of its minimum
    assert_close(arrays[1], arrays[2], ulps=8)
    assert jax.tree.structure(result.path) == jax.tree.structure(where(START))
    assert all(x.shape[0] == 61 for x in jax.tree.leaves(result.path))


OLD_OPTAX = pytest.mark.skipif(
    optax.__version__ == "0.2.4", reason="its line search mixes dtypes with float32 under x64"
)


@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=OLD_OPTAX), "float64"])
def test_lbfgs_finds_the_end_of_the_valley(dtype):
    start = jax.tree.map(lambda x: x.astype(dtype), VALLEY)
    result = fit(rosenbrock, start, where=both, optimizer=optax.lbfgs(), steps=60)
    assert_close(result.params, {"x": np.ones((), dtype), "y": np.ones((), dtype)}, ulps=512)
    assert result.params["x"].dtype == result.losses.dtype == result.path[0].dtype == dtype


@pytest.mark.optimised  # without optimisations the two programs round differently
def test_adam_is_the_loop_one_writes_by_hand():
    optimizer = optax.adam(0.03)

    @jax.jit
    def step(free, state):
        value, gradient = jax.value_and_grad(lambda f: rosenbrock({"x": f[0], "y": f[1]}))(free)
        with jax.numpy_dtype_promotion("standard"):
            updates, state = optimizer.update(gradient, state)
        return value, optax.apply_updates(free, updates), state

    free = tuple(x.astype(x.dtype) for x in both(VALLEY))
    state, losses, path = optimizer.init(free), [], []
    for _ in range(41):
        path.append(free)
        value, free, state = step(free, state)
        losses.append(value)

    result = fit(rosenbrock, VALLEY, where=both, optimizer=optimizer, steps=40)
    assert result.losses.tolist() == [float(x) for x in losses]
    assert list(zip(*(x.tolist() for x in result.path), strict=True)) == [
        (float(x), float(y)) for x, y in path
    ]


def test_every_recorded_loss_is_that_of_its_row():
    result = fit(rosenbrock, VALLEY, where=both, optimizer=optax.adam(0.1), steps=30)
    x, y = result.path
    rows = jax.vmap(lambda x, y: rosenbrock({"x": x, "y": y}))(jnp.asarray(x), jnp.asarray(y))
    assert_close(result.losses, rows, ulps=8)
    assert (x[0], y[0]) == both(VALLEY)
    assert result.losses.shape == (31,)
    assert result.last_params["x"] == x[-1]
    assert result.stopped == ""


def test_the_best_is_kept_where_the_loss_grows_again():
    p = {"x": jnp.asarray(1.0)}
    # After one good step each is too long, and goes further away from the minimum than the last.
    result = fit(
        lambda p: jnp.abs(p["x"] - 0.5) ** 2,
        p,
        where=lambda p: p["x"],
        optimizer=optax.sgd(optax.piecewise_constant_schedule(0.25, {1: 5.0})),
        steps=10,
    )
    assert result.best_step == int(np.argmin(result.losses)) == 1
    assert result.loss == result.losses.min() == 0.0625
    assert result.params["x"] == result.path[1] == 0.75
    assert result.last_params["x"] == result.path[-1]
    assert result.losses[-1] > result.losses[0]


def test_no_steps_measure_the_start():
    result = fit(rosenbrock, VALLEY, where=both, steps=0)
    assert_close(result.losses, np.asarray([rosenbrock(VALLEY)]), ulps=8)
    assert result.params == result.last_params == VALLEY


def test_a_positive_parameter_stays_positive():
    def loss(p):  # the minimum is at -1
        return (p["k"] + 1.0) ** 2

    p = {"k": jnp.asarray(0.5)}
    free = fit(loss, p, where=lambda p: p["k"], optimizer=optax.sgd(0.4), steps=200)
    kept = fit(
        loss,
        p,
        where=lambda p: p["k"],
        optimizer=optax.sgd(0.4),
        steps=200,
        transform=cf.transforms.positive(),
    )
    assert (free.path < 0).any()
    assert (kept.path > 0).all()
    assert kept.params["k"] < 0.02


def test_each_leaf_has_its_own_transform():
    def loss(p):
        return p["a"] + p["b"] - p["c"].sum() + (p["d"] - 3.0) ** 2

    p = {"a": jnp.asarray(1.0), "b": jnp.asarray(0.0), "c": jnp.zeros(3), "d": jnp.asarray(0.0)}
    result = fit(
        loss,
        p,
        where=lambda p: (p["a"], p["b"], p["c"], p["d"]),
        optimizer=optax.adam(0.5),
        steps=150,
        transform=(
            cf.transforms.positive(),
            cf.transforms.bounded(-2.0, 1.0),
            cf.transforms.bounded(-1.0, 5.0),
            cf.transforms.identity(),
        ),
    )
    a, b, c, d = result.path
    assert (a > 0).all()
    assert ((b > -2) & (b < 1)).all()
    assert ((c > -1) & (c < 5)).all()
    assert_close(jax.tree.map(lambda x: x[0], (b, c, d)), (p["b"], p["c"], p["d"]), ulps=8, scale=1)
    assert np.allclose([a[-1], b[-1], *c[-1], d[-1]], [0, -2, 5, 5, 5, 3], atol=0.01)


def log_is_nan_below_zero(p):
    return jnp.log(p["x"] - 0.1)


@pytest.mark.parametrize(
    ("loss", "message", "xs"),
    [
        (log_is_nan_below_zero, r"loss is not finite after 2 steps \(loss nan\)", [1.0, 0.5]),
        (
            lambda p: jnp.where(p["x"] < 0.1, jnp.inf, p["x"] / 2),
            r"loss is not finite after 2 steps \(loss inf\)",
            [1.0, 0.5],
        ),
        (
            lambda p: jnp.sqrt((p["x"] - 0.5) ** 2) + p["x"] / 2,
            r"gradient is not finite after 1 steps \(loss 0.25\)",
            [1.0, 0.5],
        ),
    ],
)
def test_what_is_not_finite_stops_the_fit(loss, message, xs):
    p = {"x": jnp.asarray(1.0)}
    # sgd by the sign: half a unit down each step
    optimizer = optax.chain(optax.scale_by_sign(), optax.sgd(0.5))
    with pytest.warns(RuntimeWarning, match=message):
        result = fit(loss, p, where=lambda p: p["x"], optimizer=optimizer, steps=9, retries=0)
    assert np.isfinite(result.losses).all()
    assert result.path.tolist() == xs
    assert result.params["x"] == result.last_params["x"] == xs[-1]
    assert result.loss == result.losses[-1]
    assert message[:20].split(" is")[0] in result.stopped


def test_no_gradient_is_needed_at_the_last_row():
    def loss(p):  # NaN is the gradient at 0
        return jnp.sqrt(p["x"] ** 2)

    p = {"x": jnp.asarray(1.0)}
    result = fit(loss, p, where=lambda p: p["x"], optimizer=optax.sgd(0.5), steps=2)
    assert result.losses.tolist() == [1.0, 0.5, 0.0]
    assert result.stopped == ""


def test_a_start_that_is_not_finite_is_an_error():
    with refuses(match="The loss must be finite at the start; the loss there is nan"):
        fit(log_is_nan_below_zero, {"x": jnp.asarray(-1.0)}, where=lambda p: p["x"])
    with refuses(match="The gradient must be finite at the start; the loss there is 0"):
        fit(lambda p: jnp.sqrt(p["x"]), {"x": jnp.asarray(0.0)}, where=lambda p: p["x"])


@pytest.mark.parametrize("make", [lambda: optax.adam(0.1), lambda: optax.lbfgs()])
def test_a_second_fit_does_not_trace(make):
    traces = []

    def loss(m):
        traces.append(1)
        return distance(m)

    optimizer = make()
    for k in (1.0, 2.0, 3.0):
        m = eqx.tree_at(lambda m: m.k, START, jnp.asarray(k))
        fit(  # `where` and the transform are new objects each time
            loss,
            m,
            where=lambda m: (m.k, m.gain),
            optimizer=optimizer,
            transform=(cf.transforms.bounded(0.0, 3.0 + k), cf.transforms.positive()),
            steps=5,
        )
        if k == 1.0:
            first = len(traces)
    assert len(traces) == first


def test_the_default_optimizer_traces_once():
    loss = eqx.debug.assert_max_traces(rosenbrock, max_traces=1)
    a = fit(loss, VALLEY, where=both, steps=3)
    b = fit(rosenbrock, VALLEY, where=both, steps=3, optimizer=optax.adam(1e-2))
    fit(loss, {"x": jnp.asarray(0.0), "y": jnp.asarray(0.5)}, where=both, steps=3)
    assert a.losses.tolist() == b.losses.tolist()


def test_a_weak_k_does_not_promote_a_float32_model():
    p = {"k": jnp.asarray(0.5), "x": jnp.ones(3, "float32")}
    assert p["k"].weak_type

    def loss(p):
        return jnp.sum((p["k"] * p["x"] - jnp.asarray(1.0, "float32")) ** 2)

    result = fit(loss, p, where=lambda p: p["k"], steps=3)
    assert result.losses.dtype == "float32"
    assert result.params["k"].weak_type
    assert result.last_params["k"].weak_type


def test_a_bare_array_and_numpy_leaves_are_params_too():
    result = fit(lambda k: (k - 1.0) ** 2, jnp.asarray(0.0), where=lambda k: k, steps=3)
    assert result.params.shape == ()
    p = {"k": np.zeros(2), "f": jnp.tanh, "name": "run", "scale": 2.0}
    result = fit(lambda p: jnp.sum(p["f"](p["k"]) * p["scale"]), p, where=lambda p: p["k"], steps=3)
    assert result.params["k"].shape == (2,)
    assert result.params["name"] == "run"
    assert result.params["f"] is jnp.tanh


def test_a_loss_may_be_a_pytree_with_data():
    class Loss(eqx.Module):
        data: jax.Array

        def __call__(self, p):
            traces.append(1)
            return (p["x"] - self.data) ** 2

    traces = []
    for data in (0.2, 0.4):
        result = fit(
            Loss(jnp.asarray(data)),
            {"x": jnp.asarray(0.3)},
            where=lambda p: p["x"],
            steps=200,
        )
        assert np.isclose(result.params["x"], data, atol=1e-3)
    assert len(traces) == 1


def test_progress_shows_the_loss(capsys):
    cf.fit(rosenbrock, VALLEY, where=both, steps=4)
    shown = capsys.readouterr()
    assert "4/4" in shown.err
    assert "loss=" in shown.err
    assert shown.out == ""
    fit(rosenbrock, VALLEY, where=both, steps=4)
    assert capsys.readouterr().err == ""


def never(p):
    raise AssertionError("the loss was traced before the check")


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"where": lambda m: ()}, ValueError, "`where` returns no leaf"),
        ({"where": lambda m: None}, TypeError, "must return leaves of params.* not None"),
        ({"where": lambda m: 0.5}, TypeError, "not 0.5"),
        ({"where": lambda m: m}, TypeError, r"a Model of params.k, params.gain, params.conn"),
        ({"where": lambda m: (m.k, m.k)}, ValueError, "twice: params.k, params.k"),
        ({"where": lambda m: m.count}, TypeError, "`params.count` must be an array .* it is 2"),
        ({"where": lambda m: m.labels[0]}, TypeError, "`params.labels.* it is 'left'"),
        ({"where": lambda m: m.kk}, AttributeError, "kk"),
        ({"optimizer": optax.adam}, TypeError, r"`optimizer` .* optax.adam\(1e-2\), not <function"),
        ({"optimizer": "adam"}, TypeError, "`optimizer`"),
        ({"steps": -1}, ValueError, "`steps`"),
        ({"steps": 1.5}, TypeError, "`steps`"),
        ({"transform": jnp.exp}, TypeError, "`transform` must be a cf.transforms.Transform"),
        (
            {"transform": (cf.transforms.positive(),) * 2},
            ValueError,
            "2 transforms for 1 fitted leaves",
        ),
        (
            {"transform": cf.transforms.bounded(2.0, 3.0)},
            ValueError,
            r"`params.k` cannot be .* \(2.0, 3.0\) must lie strictly between; it is 1.0",
        ),
        (
            {"transform": cf.transforms.Transform(jnp.exp, lambda x: jnp.log(x - 1))},
            ValueError,
            r"`transform.inverse\(params.k\)` must be finite",
        ),
    ],
)
def test_mistakes_are_found_before_anything_is_traced(change, error, match):
    with refuses(match=match, error=error):
        fit(never, START, **{"where": lambda m: m.k, **change})


@pytest.mark.parametrize(
    ("k", "error", "match"),
    [
        (jnp.asarray(1), TypeError, "`params.k` must be an array of floats"),
        (1, TypeError, r"`params.k` .* it is 1. jnp.asarray"),
        (jnp.asarray(1j), TypeError, "`params.k` must be an array of floats"),
        (jnp.asarray(np.inf), ValueError, "`params.k` must be finite"),
        (jnp.asarray(np.nan), ValueError, "`params.k` must not contain NaN"),
    ],
)
def test_a_leaf_that_cannot_be_fitted(k, error, match):
    with refuses(match=match, error=error):
        fit(never, eqx.tree_at(lambda m: m.k, START, k), where=lambda m: m.k)


def test_nan_anywhere_in_params_is_an_error():
    m = eqx.tree_at(lambda m: m.conn, START, jnp.full((2, 2), jnp.nan))
    with refuses(match="`params.conn` must not contain NaN"):
        fit(never, m, where=lambda m: m.k)


def test_lengths_of_edges_that_there_are_not_may_be_nan():
    weights = jnp.array([[0.0, 0.7], [0.0, 0.0]])
    lengths = jnp.array([[jnp.nan, 30.0], [jnp.nan, jnp.nan]])
    net = cf.Network(
        cf.nodes.linear, 0.5, lag_bounds=cf.lag_bounds(lengths, (2.0, 8.0), 0.5, weights)
    )
    params = cf.Params(
        cf.nodes.LinearParams(a=-1.0), cf.AdditiveCoupling(weights, 0.1), lengths=lengths, speed=4.0
    )

    def loss(p):
        state = net.init(cf.nodes.LinearState(jnp.ones(2)), p)
        return (cf.simulate(net, state, p, 40, record="x")[1] ** 2).mean()

    found = fit(loss, params, where=lambda p: p.coupling.k, optimizer=optax.adam(0.01), steps=3)
    assert jnp.isfinite(found.losses).all()
    assert found.params.coupling.k != 0.1
    np.testing.assert_array_equal(found.params.lengths, lengths)
    with refuses(match="`params.lengths` must be finite"):
        fit(loss, params, where=lambda p: p.lengths)


@pytest.mark.parametrize(
    ("loss", "match"),
    [
        (lambda m: m.gain, r"one float, .* not f64\[2\]"),
        (lambda m: (m.k, m.gain), r"one float, .* not \(weak_f64"),
        (lambda m: jnp.sum(m.gain > 0), r"one float, .* not i64"),
        (lambda m: None, "one float, .* not None"),
    ],
)
def test_a_loss_that_is_not_one_float(loss, match):
    with refuses(match=match, error=TypeError):
        fit(loss, START, where=lambda m: m.gain)


def test_fit_is_not_for_the_inside_of_jit():
    with refuses(match="outside of `jit`", error=TypeError):
        jax.jit(lambda m: fit(distance, m, where=lambda m: m[0]).loss)((jnp.asarray(1.0),))
    with refuses(match="outside of `jit`", error=TypeError):  # only the loss meets it
        jax.grad(lambda a: fit(lambda k: (k - a) ** 2, START.k, where=lambda k: k).loss)(1.0)


def test_after_a_break_the_fit_steps_back_and_goes_on():
    """A retry goes half the way back to the last good point, and halves the steps from there on."""
    p = {"x": jnp.asarray(1.0)}
    optimizer = optax.chain(optax.scale_by_sign(), optax.sgd(0.5))
    result = fit(log_is_nan_below_zero, p, where=lambda p: p["x"], optimizer=optimizer, steps=5)
    # 1, 0.5, then 0 is NaN: back to 0.25; a step of 0.25 leads to 0, NaN again: back to 0.125
    assert result.path.tolist() == [1.0, 0.5, 0.25, 0.125]
    assert (result.retries, result.stopped) == (2, "")
    assert result.params["x"] == 0.125
    with pytest.warns(RuntimeWarning, match="not finite after 4 steps"):
        result = fit(
            log_is_nan_below_zero,
            p,
            where=lambda p: p["x"],
            optimizer=optimizer,
            steps=9,
            retries=1,
        )
    assert result.path.tolist() == [1.0, 0.5, 0.25]


def two_valleys(p):
    """Return a loss with a deep minimum at 2 and a shallow one at -1."""
    return jnp.minimum((p["x"] - 2.0) ** 2, 1.0 + (p["x"] + 1.0) ** 2)


def test_each_start_is_a_fit_of_its_own():
    xs = jnp.asarray([-2.0, 0.0, 3.0])
    options = {"where": lambda p: p["x"], "optimizer": optax.sgd(0.1), "steps": 30}
    many = fit(two_valleys, {"x": jnp.asarray(9.0)}, starts=xs, **options)
    alone = [fit(two_valleys, {"x": x}, **options) for x in xs]
    assert_close(many.starts.losses, np.stack([r.losses for r in alone]), ulps=64)
    assert_close(many.starts.best, np.stack([r.params["x"] for r in alone]), ulps=64)
    assert_close(many.path, alone[2].path, ulps=64)
    assert many.loss == many.starts.loss.min() == many.losses.min()
    assert_close(many.starts.spread, np.std([r.params["x"] for r in alone]), ulps=64)


def test_a_start_that_breaks_leaves_the_others_alone():
    def loss(p):
        return jnp.where(p["x"] < 0, jnp.nan, (p["x"] - 0.2) ** 2)

    p = {"x": jnp.asarray(0.5)}
    options = {"where": lambda p: p["x"], "optimizer": optax.sgd(0.25), "steps": 40}
    result = fit(loss, p, starts=jnp.asarray([-1.0, 0.7]), retries=3, **options)
    assert_close(result.params["x"], np.asarray(0.2), ulps=2**28)
    assert (result.retries, result.stopped) == (0, "")
    assert np.isnan(result.starts.losses[0]).all() and result.starts.loss[0] == np.inf
    assert result.starts.spread == 0.0
    with refuses(match="loss must be finite at the start; the loss there is nan"):
        fit(loss, p, starts=jnp.asarray([-1.0, -2.0]), **options)


def test_drawn_starts_begin_with_params_and_keep_their_range():
    p = {"x": jnp.asarray(-1.2, "float32"), "y": jnp.asarray(0.5, "float32")}
    options = {
        "where": both,
        "transform": (cf.transforms.identity(), cf.transforms.bounded(0.0, 1.0)),
        "steps": 0,
    }
    result = fit(rosenbrock, p, starts=50, key=jax.random.key(1), spread=2.0, **options)
    x, y = result.starts.best
    assert (x[0], y[0]) == both(p) and x.dtype == y.dtype == "float32"
    assert ((y > 0) & (y < 1)).all() and 1.0 < x.std() < 3.0
    again = fit(rosenbrock, p, starts=50, key=jax.random.key(1), spread=2.0, **options)
    assert result.starts.loss.tolist() == again.starts.loss.tolist()


def test_lbfgs_from_many_starts():
    xs = (jnp.asarray([-1.2, 0.5, 2.0]), jnp.asarray([1.0, 0.0, -1.0]))
    result = fit(rosenbrock, VALLEY, where=both, optimizer=optax.lbfgs(), steps=60, starts=xs)
    assert (result.starts.loss < 1e-12).all()


@pytest.mark.parametrize("derivative", ["forward", "reverse"])
def test_both_modes_find_the_same_way(derivative):
    start = eqx.tree_at(lambda m: m.gain, START, START.gain.astype("float32"))
    where = lambda m: (m.k, m.gain, m.conn)
    loss = lambda m: distance(eqx.tree_at(lambda m: m.gain, m, m.gain.astype("float64")))
    options = {"where": where, "optimizer": optax.sgd(0.1), "steps": 8}
    result = fit(loss, start, derivative=derivative, **options)
    wanted = jax.tree.map(lambda x, y: y + 0.8**8 * (x - y), where(START), where(BEST))
    assert_close([x[-1] for x in result.path], list(wanted), ulps=2**31)  # a leaf is float32
    assert [x.dtype for x in result.path] == ["float64", "float32", "float64"]


@jax.custom_vjp
def only_reverse(x):
    return x**2


only_reverse.defvjp(lambda x: (x**2, x), lambda x, g: (2 * x * g,))


def test_the_mode_is_chosen_by_what_the_loss_can_do():
    p, where = {"x": jnp.asarray(1.0)}, lambda p: p["x"]
    a = fit(lambda p: only_reverse(p["x"]), p, where=where, steps=3)
    b = fit(lambda p: only_forward(p["x"]), p, where=where, steps=3)
    assert_close(a.losses, b.losses, ulps=8)
    with refuses(match=r'simulate\(..., derivative="forward"\)', error=TypeError):
        fit(lambda p: only_reverse(p["x"]), p, where=where, derivative="forward")


def only_forward(x):
    """The square, by a loop that JAX does not reverse."""
    return jax.lax.while_loop(lambda x: x > 2.0, lambda x: x / 2, x) ** 2


@jax.jit
def named_like_a_custom_vjp(x):
    return only_forward(x)


@jax.custom_jvp
def with_its_own_forward(x):
    return only_reverse(x)


with_its_own_forward.defjvp(lambda x, dx: (only_forward(*x), 2 * x[0] * dx[0]))

FORWARD = {
    "a custom_vjp of data": lambda x: only_forward(x) + only_reverse(jnp.asarray(3.0)) - 9.0,
    "a custom_vjp behind a stop": lambda x: (
        only_forward(x) + 0 * only_reverse(jax.lax.stop_gradient(x))
    ),
    "only the word": lambda x: named_like_a_custom_vjp(x),
    "a custom_jvp around it": lambda x: with_its_own_forward(x),
}
REVERSE = {
    "at the top": only_reverse,
    "in jit": lambda x: jax.jit(only_reverse)(x),
    "in a loop": lambda x: jax.lax.scan(lambda c, _: (only_reverse(c), None), x, length=1)[0],
    "in a branch": lambda x: jax.lax.cond(x > 9.0, lambda x: x, only_reverse, x),
    "under vmap": lambda x: jax.vmap(only_reverse)(x[None])[0],
}


@pytest.mark.every(5)
@pytest.mark.parametrize("square", [*FORWARD.values(), *REVERSE.values()], ids=[*FORWARD, *REVERSE])
def test_a_custom_vjp_forbids_forward_only_where_what_is_fitted_passes_it(square):
    """The other functions have no reverse, so a wrong choice of the mode is an error of JAX."""
    p, where = jnp.asarray(1.0), lambda p: p
    loss = eqx.debug.assert_max_traces(square, max_traces=1)
    options = {"where": where, "optimizer": optax.sgd(0.25), "steps": 2}
    assert_close(fit(loss, p, **options).losses, np.asarray([1.0, 0.25, 0.0625]), ulps=8)
    starts = fit(square, p, starts=jnp.asarray([1.0, 2.0]), **options).starts
    assert_close(starts.losses[1], np.asarray([4.0, 1.0, 0.25]), ulps=8)
    if square in FORWARD.values():
        assert_close(
            fit(square, p, derivative="forward", **options).losses[-1], np.asarray(0.0625), ulps=8
        )
    else:
        with refuses(match="through a jax.custom_vjp", error=TypeError):
            fit(square, p, derivative="forward", **options)


@pytest.mark.parametrize(("fitted", "forward"), [("k", False), ("gain", True)])
def test_a_delayed_run_is_reversed_only_where_what_is_fitted_passes_it(fitted, forward):
    W = jnp.asarray([[0.0, 0.9], [0.4, 0.0]])
    net = cf.Network(cf.nodes.linear, dt=0.5, lags=jnp.asarray([[2, 5], [3, 2]]))
    make = lambda k: cf.Params(cf.nodes.LinearParams(a=-0.5), cf.AdditiveCoupling(W, k=k))
    state = net.init(cf.nodes.LinearState(jnp.asarray([1.0, -0.5])), make(0.5))

    def loss(p, derivative):
        x = cf.simulate(net, state, make(p["k"]), 8, record="x", derivative=derivative)[1]
        return jnp.sum((p["gain"] * x) ** 2)

    p = {"k": jnp.asarray(0.5), "gain": jnp.asarray(1.0)}
    options = {"where": lambda p: p[fitted], "optimizer": optax.sgd(0.1), "steps": 2}
    results = [
        fit(lambda p, mode=mode: loss(p, mode), p, derivative=derivative, **options)
        for mode, derivative in (("reverse", "auto"), ("reverse", "reverse"), ("forward", "auto"))
    ]
    for other in results[1:]:
        assert_close(results[0].losses, other.losses, ulps=64)
    if forward:
        fit(lambda p: loss(p, "reverse"), p, derivative="forward", **options)
    else:
        with refuses(match=r'simulate\(..., derivative="forward"\)', error=TypeError):
            fit(lambda p: loss(p, "reverse"), p, derivative="forward", **options)


def test_the_batch_of_each_step_goes_to_the_loss():
    data = jnp.asarray([1.0, 2.0, 3.0, 6.0])
    batch = cf.minibatches(data, 2, jax.random.key(0))
    loss = lambda p, some: jnp.mean((p["x"] - some) ** 2)
    result = fit(loss, {"x": jnp.asarray(0.0)}, where=lambda p: p["x"], batch=batch, steps=200)
    seen = [loss({"x": x}, batch(n)) for n, x in enumerate(result.path)]
    assert_close(result.losses, np.asarray(seen), ulps=16)
    mean = fit(
        loss,
        {"x": jnp.asarray(0.0)},
        where=lambda p: p["x"],
        batch=batch,
        optimizer=optax.sgd(optax.polynomial_schedule(0.5, 0.0, 1.0, 300)),
        steps=300,
    )
    assert abs(mean.last_params["x"] - 3.0) < 0.05


def test_patience_and_callback_end_a_fit():
    options = {"where": lambda p: p["x"], "optimizer": optax.sgd(0.5), "steps": 100}
    bowl = lambda p: (p["x"] - 0.5) ** 2 + 1.0
    result = fit(bowl, {"x": jnp.asarray(0.0)}, patience=3, **options)
    # one step reaches the minimum, and three more find nothing better
    assert len(result.losses) == 5 and "better for 3 steps" in result.stopped
    slow = {**options, "optimizer": optax.sgd(0.05)}  # 0.9 of the distance per step
    result = fit(bowl, {"x": jnp.asarray(0.0)}, patience=1, tolerance=0.01, **slow)
    gains = -np.diff(result.losses) / result.losses[:-1]
    assert (gains[:-1] > 0.01).all() and gains[-1] <= 0.01 and len(gains) < 100

    seen = []

    def callback(step, loss, params):
        seen.append((step, loss, float(params["x"])))
        return step == 4

    result = fit(bowl, {"x": jnp.asarray(0.0)}, callback=callback, **slow)
    rows = zip(range(5), result.losses, result.path, strict=True)
    assert seen == [(n, float(v), float(x)) for n, v, x in rows]
    assert result.stopped == "The callback ended the fit after 4 steps."


def test_a_fit_that_finds_nothing_better_says_so():
    with pytest.warns(
        RuntimeWarning, match="No step was better than the start: the loss there is 0.0"
    ):
        result = fit(
            lambda p: (p["x"] - 0.5) ** 2,
            {"x": jnp.asarray(0.6)},
            where=lambda p: p["x"],
            optimizer=optax.sgd(1.5),  # each step lands on the other side, twice as far away
            steps=4,
        )
    assert str(result) == "loss 0.01 at step 0 of 4; 0.01 at first"
    many = fit(
        lambda p: (p["x"] - 0.5) ** 2,
        {"x": jnp.asarray(0.6)},
        where=lambda p: p["x"],
        starts=jnp.asarray([0.0, 1.0]),
        optimizer=optax.sgd(0.5),
        steps=1,
    )
    assert (
        str(many)
        == "loss 0 at step 1 of 1; 0.25 at first\nthe best of 2 starts, whose losses are [0. 0.]"
    )


def test_clipped_and_truncated_gradients_are_what_the_docstring_says():
    W = jnp.asarray([[0.0, 0.9], [0.4, 0.0]])
    net = cf.Network(cf.nodes.linear, dt=0.5, scheme="euler")
    make = lambda k: cf.Params(cf.nodes.LinearParams(a=-0.5), cf.AdditiveCoupling(W, k=k))
    state = net.init(cf.nodes.LinearState(jnp.asarray([1.0, -0.5])), make(1.0))

    def loss(params, cut):
        half, _ = cf.simulate(net, state, params, steps=6)
        half = jax.lax.stop_gradient(half) if cut else half
        return jnp.sum(cf.simulate(net, half, params, steps=6)[0].node.x ** 2)

    def second_half(k):
        half, _ = cf.simulate(net, state, make(1.5), steps=6)
        return jnp.sum(cf.simulate(net, half, make(k), steps=6)[0].node.x ** 2)

    where, slopes = lambda p: p.coupling.k, []
    for cut in (True, False):
        options = {"where": where, "optimizer": optax.sgd(1e-3), "steps": 1}
        result = fit(lambda p, cut=cut: loss(p, cut), make(1.5), **options)
        slopes.append((result.path[0] - result.path[1]) / 1e-3)
    assert_close(slopes[0], jax.grad(second_half)(1.5), ulps=2**14)  # of a difference quotient
    assert abs(slopes[0] / slopes[1] - 1) > 0.1
    clipped = optax.chain(optax.clip_by_global_norm(1e-3), optax.sgd(1.0))
    result = fit(lambda p: loss(p, False), make(1.5), where=where, optimizer=clipped, steps=1)
    assert_close(abs(result.path[1] - result.path[0]), np.asarray(1e-3), ulps=2**14)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"derivative": "backward"}, ValueError, "`derivative` must be one of 'auto', 'reverse'"),
        ({"batch": jnp.ones(3)}, TypeError, "`batch` must be a function"),
        ({"callback": 3}, TypeError, "`callback` must be a function"),
        ({"patience": 0}, ValueError, "`patience` must be at least 1"),
        ({"tolerance": 0.1}, ValueError, "also give `patience`"),
        ({"starts": 3}, ValueError, "give `key=jax.random.key"),
        ({"starts": 0, "key": jax.random.key(0)}, ValueError, "`starts` must be at least 1"),
        ({"starts": jnp.ones((3, 2))}, ValueError, r"`params.k` must have shape \(start\), not"),
        ({"starts": (jnp.ones(3),)}, TypeError, "leaves as `where` returns them"),
        ({"starts": jnp.ones(0)}, ValueError, "at least 1"),
        (
            {"starts": jnp.asarray([0.5, 2.0]), "transform": cf.transforms.bounded(0.0, 1.5)},
            ValueError,
            r"`params.k` cannot be where the fit starts.* it is 2.0",
        ),
    ],
)
def test_more_mistakes_are_found_before_anything_is_traced(change, error, match):
    with refuses(match=match, error=error):
        fit(never, START, **{"where": lambda m: m.k, **change})
