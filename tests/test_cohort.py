"""Cohorts: stacked, fitted alone, as one and in part, and their reliability."""

import logging
from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import TRANSFORMS, Compilations, assert_close, refuses
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import multivariate_normal

import coupling_fn as cf

# --- subjects in one pytree ------------------------------------------------------------------------

W = np.array([[0.0, 1.0, 0.5], [2.0, 0.0, 0.25], [0.125, 3.0, 0.0]])


def connectome(scale=1.0, labels=("a", "b", "c"), lengths=10 * W, **more):
    return cf.Connectome(scale * W, lengths, labels, **more)


def test_subjects_are_stacked_and_come_back():
    subjects = {f"sub-{i}": {"sc": connectome(i), "age": 30.0 + i} for i in (2, 1, 3)}
    cohort = cf.cohort.stack(subjects)
    assert cohort.ids == ("sub-2", "sub-1", "sub-3") and len(cohort) == 3
    assert cohort.data["sc"].labels == ("a", "b", "c")
    np.testing.assert_array_equal(cohort.data["sc"].weights, np.stack([2 * W, W, 3 * W]))
    assert cohort.data["age"].tolist() == [32.0, 31.0, 33.0]
    for id, subject in subjects.items():
        assert eqx.tree_equal(cohort.subject(id), jax.tree.map(jnp.asarray, subject))
    some = cohort.subset(["sub-3", "sub-2"])
    assert some.ids == ("sub-3", "sub-2") and some.data["age"].tolist() == [33.0, 32.0]
    sums = jax.vmap(lambda s: s["age"] * cf.graph.strength(s["sc"].weights).sum())(cohort.data)
    assert_close(sums, np.array([64.0, 31.0, 99.0]) * W.sum())


def test_a_sweep_goes_over_subjects():
    cohort = cf.cohort.stack({f"sub-{i}": connectome(i) for i in (2, 1, 3)})

    def total(sc):
        return jnp.sum(sc.weights @ sc.lengths[0])

    wanted = [i * (W @ (10 * W[0])).sum() for i in (2, 1, 3)]
    for chunk in (None, 2):
        assert_close(cf.sweep(total, cohort.data, chunk=chunk, progress=False), np.array(wanted))


def test_files_that_subjects_were_read_from_may_differ(tmp_path):
    for name in ("one", "two"):
        cf.save_connectome(tmp_path / f"{name}.npz", connectome())
    read = {name: cf.load_connectome(tmp_path / f"{name}.npz") for name in ("one", "two")}
    assert cf.cohort.stack(read).data.weights.shape == (2, 3, 3)


SIDES = {"region_data": {"side": ["l", "r", "l"]}}
FIRST = {"sc": connectome(**SIDES), "fc": np.eye(3)}
DIFFERENT = {
    "label": (
        {"sc": connectome(labels=[*"abd"])},
        "Subject 'two'.'sc'. has the label 'd' at region 2",
    ),
    "order": ({"sc": connectome(labels=[*"acb"])}, "They are the same in another order"),
    "no labels": (
        {"sc": connectome(labels=None)},
        "Subject 'one'.* has labels, and 'two'.* has not",
    ),
    "no lengths": (
        {"sc": connectome(lengths=None, **SIDES)},
        "'one' has `.'sc'..lengths`, and 'two' has not",
    ),
    "regions": ({"sc": cf.Connectome(np.eye(2))}, "'two'.* has 2 regions, 'one'.* 3"),
    "sides": (
        {"sc": connectome(region_data={"side": ["l", "l", "r"]})},
        r"`region_data\['side'\]` of subject 'two'",
    ),
    "shape": (
        {"fc": np.eye(4)},
        r"`\['fc'\]` of subject 'two' has the shape \(4, 4\), that of 'one' ",
    ),
    "dtype": ({"fc": np.eye(3, dtype="float32")}, "of subject 'two' has the dtype float32"),
    "more": ({"age": 3.0}, r"'two' has `\['age'\]`, and 'one' has not"),
    "none": ({"fc": None}, r"'one' has `\['fc'\]`, and 'two' has not"),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_a_subject_that_differs_is_named(what):
    change, match = DIFFERENT[what]
    with refuses(match):
        cf.cohort.stack({"one": FIRST, "two": FIRST | change, "three": FIRST})


@pytest.mark.parametrize(
    ("subjects", "error", "match"),
    [
        ([connectome()], TypeError, "`subjects` must map the id"),
        ({}, ValueError, "`subjects` must not be empty"),
        ({1: connectome()}, TypeError, "strings for ids, not 1"),
        (
            {"a": {"key": jax.random.key(0)}},
            TypeError,
            r"`subjects\['a'\]\['key'\]` is a random key",
        ),
        (
            {"a": {"name": "x"}},
            TypeError,
            r"`subjects\['a'\]\['name'\]` must be an array of numbers",
        ),
    ],
)
def test_what_is_no_cohort_is_refused(subjects, error, match):
    with refuses(match, error):
        cf.cohort.stack(subjects)


def test_a_subject_that_is_not_there_is_refused():
    cohort = cf.cohort.stack({"a": {"x": 1.0}, "b": {"x": 2.0}})
    with refuses("There is no subject 'c'; there are a, b"):
        cohort.subject("c")
    with refuses("`ids` must be different subjects"):
        cohort.subset(["a", "a"])
    with refuses("is traced", TypeError):
        jax.jit(lambda x: cf.cohort.stack({"a": x}).data)(1.0)


# --- networks: one program -------------------------------------------------------------------------

N, STEPS, NOISE, SUBJECTS = 4, 120, 0.02, 7


@pytest.fixture(scope="module")
def delayed():
    """A delayed network, and data of seven subjects with weights, lengths and k of their own."""
    rng = np.random.default_rng(3)
    weights = rng.uniform(0.1, 1.0, (SUBJECTS, N, N))
    lengths = rng.uniform(20.0, 60.0, (SUBJECTS, N, N))
    bounds = cf.lag_bounds(lengths, speed=5.0, dt=0.5)
    net = cf.Network(cf.nodes.hopf, 0.5, lag_bounds=bounds)
    x0 = cf.nodes.HopfState(*jnp.asarray(rng.uniform(-1, 1, (2, N))))
    node = cf.nodes.HopfParams(a=-0.01)
    start = cf.Params(node, cf.DiffusiveCoupling(weights[0], k=0.03))

    def run(params, sc):
        coupling = eqx.tree_at(lambda c: c.conn, params.coupling, sc.weights)
        p = cf.Params(params.node, coupling, lengths=sc.lengths, speed=5.0)
        how = {"record": "x", "every": 4, "derivative": "forward"}
        return cf.simulate(net, net.init(x0, p), p, STEPS, **how)[1]

    def residuals(params, subject):
        return run(params, subject["sc"]) - subject["x"]

    truth = rng.uniform(0.02, 0.06, SUBJECTS)
    subjects = {}
    one = jax.jit(lambda k, sc: run(eqx.tree_at(where, start, k), sc))
    for i, k in enumerate(truth):
        sc = cf.Connectome(weights[i], lengths[i])
        noise = NOISE * rng.normal(size=(STEPS // 4, N))
        subjects[f"sub-{i}"] = {"sc": sc, "x": one(k, sc) + noise}
    return SimpleNamespace(
        residuals=residuals, start=start, cohort=cf.cohort.stack(subjects), truth=truth
    )


def where(p):
    return p.coupling.k


def programs(caplog):
    return sum("Compiling jit(_factors)" in record.getMessage() for record in caplog.records)


def test_one_program_fits_each_subject_and_any_number_of_them(delayed, caplog):
    """Each as `least_squares` and `uncertainty` do alone, and the true k lies in its interval."""
    d, how = delayed, {"where": where, "noise": NOISE}
    caplog.set_level(logging.WARNING)
    with jax.log_compiles():
        six = cf.cohort.fit(d.residuals, d.start, d.cohort.subset(d.cohort.ids[:6]), **how)
    assert programs(caplog) == 1
    with Compilations() as compilations:
        seven = cf.cohort.fit(d.residuals, d.start, d.cohort, **how)
        one = cf.cohort.fit(d.residuals, d.start, d.cohort, penalty=np.inf, **how)
        part = cf.cohort.fit(d.residuals, d.start, d.cohort, penalty=[1e3, 1e4], **how)
    assert compilations.count == 0
    assert_close(six.estimate, seven.estimate[:6], ulps=4)
    assert six.converged.all() and seven.converged.all()
    assert ((seven.lower < d.truth) & (d.truth < seven.upper)).all()
    assert (np.ptp(one.estimate), np.ptp(part.estimate) > 0) == (0.0, True)
    for i in (0, 5):
        subject = d.cohort.subject(d.cohort.ids[i])
        alone = cf.least_squares(lambda p, s=subject: d.residuals(p, s), d.start, where=where)
        # Each stops at a step that is short: far within the error.
        np.testing.assert_allclose(six.estimate[i], where(alone.params), rtol=1e-6)
        np.testing.assert_allclose(six.loss[i], alone.loss, rtol=1e-6)
        k = jnp.asarray(six.estimate[i])
        at = eqx.tree_at(where, d.start, k)
        sure = cf.uncertainty(lambda p, s=subject: d.residuals(p, s), at, where=where, noise=NOISE)
        np.testing.assert_allclose(
            [six.error[i], six.lower[i], six.upper[i]],
            [sure.error, sure.lower, sure.upper],
            rtol=1e-6,
        )


def test_chunks_change_nothing(delayed):
    d, how = delayed, {"where": where, "noise": NOISE}
    some = d.cohort.subset(d.cohort.ids[4:])
    one = cf.cohort.fit(d.residuals, d.start, some, **how)
    two = cf.cohort.fit(d.residuals, d.start, some, chunk=2, **how)  # the last chunk is filled up
    np.testing.assert_allclose(one.estimate, two.estimate, rtol=1e-9)
    np.testing.assert_allclose(one.error, two.error, rtol=1e-9)


# --- a loss of each subject ------------------------------------------------------------------------


def test_a_loss_of_each_subject_is_minimised_by_one_program(delayed, caplog):
    """The same k as by a search without derivatives, of the rmse of FC that no residuals give."""
    d = delayed

    def loss(params, subject):
        fc = cf.observe.functional_connectivity(d.residuals(params, subject) + subject["x"])
        return cf.observe.fc_rmse(fc, cf.observe.functional_connectivity(subject["x"]))

    caplog.set_level(logging.WARNING)
    with jax.log_compiles():
        six = cf.cohort.fit_loss(loss, d.start, d.cohort.subset(d.cohort.ids[:6]), where=where)
    assert sum("Compiling jit(_losses)" in x.getMessage() for x in caplog.records) == 1
    with Compilations() as compilations:
        seven = cf.cohort.fit_loss(loss, d.start, d.cohort, where=where)
        one = cf.cohort.fit_loss(loss, d.start, d.cohort, where=where, together=True)
    assert compilations.count == 0 and seven.converged.all() and one.converged.all()
    assert_close(six.estimate, seven.estimate[:6], ulps=4)
    assert np.ptp(one.estimate) == 0 and one.penalty == np.inf and np.ptp(seven.estimate) > 0.01

    measured = jax.jit(lambda k, s: loss(eqx.tree_at(where, d.start, k), s))
    subjects = [d.cohort.subject(id) for id in d.cohort.ids]

    def searched(of, k):
        return minimize_scalar(of, bounds=(0.8 * k, 1.2 * k), method="bounded").x

    for i in (0, 4):
        found = searched(lambda k, i=i: float(measured(k, subjects[i])), seven.estimate[i])
        np.testing.assert_allclose(seven.estimate[i], found, rtol=1e-3)
        np.testing.assert_allclose(seven.loss[i], measured(seven.estimate[i], subjects[i]))
    found = searched(lambda k: sum(float(measured(k, s)) for s in subjects), one.estimate[0])
    np.testing.assert_allclose(one.estimate[0], found, rtol=1e-3)


def valley(params, subject):
    """A curved valley with its end at (a, a^2), and its values in units of 0.01 and 100."""
    x, y = 100.0 * params["x"], params["y"] / 100.0
    return (subject - x) ** 2 + 10.0 * (y - x**2) ** 2


ENDS = cf.cohort.stack({"a": 1.0, "b": -0.5, "c": 2.0})
VALLEY = {"where": lambda p: (p["x"], p["y"]), "steps": 200}


@pytest.mark.parametrize(("dtype", "chunk"), [("float32", 1), ("float64", 2)])
def test_each_subject_goes_down_its_own_valley(dtype, chunk):
    cohort = jax.tree.map(lambda x: x.astype(dtype), ENDS)
    start = {"x": jnp.asarray(0.003, dtype), "y": jnp.asarray(40.0, dtype)}
    found = cf.cohort.fit_loss(valley, start, cohort, chunk=chunk, **VALLEY)
    x, y = found.estimate
    ends, near = np.array([1.0, -0.5, 2.0]), {"float32": 2e-2, "float64": 1e-5}[dtype]
    assert x.dtype == dtype and found.converged.all() and found.names == ("x", "y")
    np.testing.assert_allclose(x, ends / 100, rtol=near)
    np.testing.assert_allclose(y, ends**2 * 100, rtol=2 * near)


def test_one_value_for_all_is_where_the_slopes_cancel():
    start = {"x": jnp.asarray(0.003), "y": jnp.asarray(40.0)}
    found = cf.cohort.fit_loss(valley, start, ENDS, together=True, **VALLEY)
    mean = (1.0 - 0.5 + 2.0) / 3
    np.testing.assert_allclose(found.estimate[0], np.full(3, mean / 100), rtol=1e-5)
    np.testing.assert_allclose(found.loss, (np.array([1.0, -0.5, 2.0]) - mean) ** 2, rtol=1e-4)
    np.testing.assert_allclose(found.params["x"], mean / 100, rtol=1e-5)


@pytest.mark.parametrize("derivative", ["forward", "reverse"])
def test_a_loss_within_a_range_goes_round_what_is_not_finite(derivative):
    def loss(p, data):  # not finite beyond 3, and with a hump between the start and the minimum
        return jnp.where(p > 3.0, jnp.nan, jnp.cos(data * p))

    cohort = cf.cohort.stack({"a": 1.5, "b": 2.5})
    how = {"where": lambda p: p, "transform": cf.transforms.positive(), "derivative": derivative}
    found = cf.cohort.fit_loss(loss, jnp.asarray(0.2), cohort, **how)
    assert found.converged.all()
    np.testing.assert_allclose(found.estimate, np.pi / np.array([1.5, 2.5]), rtol=1e-6)


def test_a_fit_of_losses_is_a_table_without_errors():
    start = {"x": jnp.asarray(0.003), "y": jnp.asarray(40.0)}
    found = cf.cohort.fit_loss(valley, start, ENDS, **VALLEY)
    assert [*found.to_dict()] == ["id", "x", "y", "loss", "converged"]
    assert found.error is None and str(found).startswith("a  x 0.01") and "±" not in str(found)
    assert_close(found.params_of("c")["x"], found.estimate[0][2])
    again = cf.cohort.fit_loss(valley, start, ENDS, **VALLEY)
    reliable = cf.cohort.reliability(found, again)
    assert reliable == {"x": pytest.approx(1.0), "y": pytest.approx(1.0)}


def test_what_is_no_loss_is_refused_and_a_fit_that_is_not_over_is_said():
    start = {"x": jnp.asarray(0.003), "y": jnp.asarray(40.0)}
    with refuses("`loss` must return one float", TypeError):
        cf.cohort.fit_loss(line, START, LINEAR, where=lambda p: p["u"])
    with refuses("must come from cf.cohort.stack", TypeError):
        cf.cohort.fit_loss(valley, start, {"a": 1.0}, **VALLEY)
    with refuses("`together` must be"):
        cf.cohort.fit_loss(valley, start, ENDS, together="all", **VALLEY)
    bad = cf.cohort.stack({"a": 1.0, "bad": jnp.nan})
    with refuses("The loss of subject 'bad' and its derivatives must be finite at the start"):
        cf.cohort.fit_loss(valley, start, bad, **VALLEY)
    with pytest.warns(RuntimeWarning, match="The fit did not converge of a, b, c"):
        cf.cohort.fit_loss(valley, start, ENDS, **VALLEY | {"steps": 2})
    with refuses("not their sum.* cf.cohort.fit_loss takes a loss, such as fc_rmse", TypeError):
        cf.cohort.fit(valley, start, ENDS, where=VALLEY["where"])


# --- linear residuals: closed forms ----------------------------------------------------------------

RNG = np.random.default_rng(7)
S, SAMPLES, WIDTH = 5, 6, 2
DESIGN = RNG.normal(size=(S, SAMPLES, WIDTH)) * np.array([1.0, 3.0])
SIGMA = RNG.uniform(0.2, 0.6, S)
TRUTH = np.array([1.0, -2.0]) + 0.5 * RNG.normal(size=(S, WIDTH))
DATA = np.einsum("srp,sp->sr", DESIGN, TRUTH) + SIGMA[:, None] * RNG.normal(size=(S, SAMPLES))
LINEAR = cf.cohort.stack({f"s{i}": (DESIGN[i], DATA[i]) for i in range(S)})
START = {"u": jnp.zeros(WIDTH), "other": jnp.asarray(9.0)}


def line(params, subject):
    design, data = subject
    return design @ params["u"] - data


def fit_lines(cohort=LINEAR, start=START, **options):
    options = {"where": lambda p: p["u"], "noise": SIGMA} | options
    return cf.cohort.fit(line, start, cohort, **options)


def by_hand(penalty):
    """Stack all residuals and the penalty in one least-squares problem of all u and their mean."""
    if np.isinf(penalty):
        a = np.concatenate([DESIGN[s] / SIGMA[s] for s in range(S)])
        b = np.concatenate([DATA[s] / SIGMA[s] for s in range(S)])
        one, covariance = np.linalg.lstsq(a, b, rcond=None)[0], np.linalg.inv(a.T @ a)
        return np.tile(one, (S, 1)), np.tile(np.sqrt(np.diag(covariance)), (S, 1))
    rows, right = [], []
    for s in range(S):
        for r in range(SAMPLES):
            row = np.zeros((S + 1, WIDTH))
            row[s] = DESIGN[s, r] / SIGMA[s]
            rows.append(row.ravel())
            right.append(DATA[s, r] / SIGMA[s])
        for p in range(WIDTH):
            row = np.zeros((S + 1, WIDTH))
            row[s, p], row[S, p] = np.sqrt(penalty), -np.sqrt(penalty)  # the last is the mean
            rows.append(row.ravel())
            right.append(0.0)
    a = np.array(rows)
    a = a if penalty else a[:, : S * WIDTH]  # without a penalty there is no mean
    solution = np.linalg.lstsq(a, np.array(right), rcond=None)[0]
    errors = np.sqrt(np.diag(np.linalg.inv(a.T @ a)))
    return (x[: S * WIDTH].reshape(S, WIDTH) for x in (solution, errors))


@pytest.mark.parametrize("penalty", [0.0, 0.3, 40.0, 1e5, np.inf])
def test_linear_subjects_are_fitted_in_closed_form(penalty):
    values, errors = by_hand(penalty)
    found = fit_lines(penalty=penalty)
    np.testing.assert_allclose(found.estimate, values, rtol=1e-6)
    np.testing.assert_allclose(found.error, errors, rtol=1e-6)
    np.testing.assert_allclose(found.upper, values + 1.96 * errors, rtol=1e-6)
    losses = [((DESIGN[s] @ values[s] - DATA[s]) ** 2).sum() / 2 for s in range(S)]
    np.testing.assert_allclose(found.loss, losses, rtol=1e-6)
    np.testing.assert_allclose(found.params["u"], np.mean(values, 0), rtol=1e-6)
    assert found.params["other"] == 9.0 and found.converged.all()


def test_an_unknown_noise_is_that_of_each_subject_or_of_all():
    alone, one = fit_lines(noise=None), fit_lines(noise=None, penalty=np.inf)
    total = 0.0
    for s in range(S):
        values, (residual,), *_ = np.linalg.lstsq(DESIGN[s], DATA[s], rcond=None)
        variance = residual / (SAMPLES - WIDTH)
        covariance = variance * np.linalg.inv(DESIGN[s].T @ DESIGN[s])
        np.testing.assert_allclose(alone.estimate[s], values, rtol=1e-6)
        np.testing.assert_allclose(alone.error[s], np.sqrt(np.diag(covariance)), rtol=1e-6)
        total += ((DESIGN[s] @ one.estimate[s] - DATA[s]) ** 2).sum() / (S * SAMPLES - WIDTH)
    gram = sum(DESIGN[s].T @ DESIGN[s] for s in range(S))
    np.testing.assert_allclose(
        one.error[0], np.sqrt(np.diag(total * np.linalg.inv(gram))), rtol=1e-6
    )


def left_out(penalty):
    """The negative log-likelihood of each subject, given what the others say: all are normal."""
    found = []
    for s in range(S):
        information, said = np.zeros((WIDTH, WIDTH)), np.zeros(WIDTH)
        for t in {*range(S)} - {s}:
            inverse = np.linalg.inv(
                SIGMA[t] ** 2 * np.eye(SAMPLES) + DESIGN[t] @ DESIGN[t].T / penalty
            )
            information += DESIGN[t].T @ inverse @ DESIGN[t]
            said += DESIGN[t].T @ inverse @ DATA[t]
        mean, error = np.linalg.solve(information, said), np.linalg.inv(information)
        spread = error + np.eye(WIDTH) / penalty
        covariance = SIGMA[s] ** 2 * np.eye(SAMPLES) + DESIGN[s] @ spread @ DESIGN[s].T
        likelihood = multivariate_normal(DESIGN[s] @ mean, covariance).logpdf(DATA[s])
        found.append(-likelihood - SAMPLES * np.log(2 * np.pi * SIGMA[s] ** 2) / 2)
    return found


def test_a_penalty_at_an_end_of_those_given_is_said():
    small, large = fit_lines(penalty=[500.0, 1e4]), fit_lines(penalty=[1e-3, 1e-2])
    assert str(small).endswith("it is the smallest that was given, and a smaller one may be better")
    assert str(large).endswith("it is the largest that was given, and a larger one may be better")
    assert str(fit_lines(penalty=[0.5, 4.0, 30.0, np.inf])).endswith("leaving subjects out")


def test_a_table_in_a_cohort_is_refused_since_its_labels_would_be_lost():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(W, [*"abc"], [*"abc"])
    with refuses(
        r"`subjects\['a'\]\['sc'\]` must be an array, not DataFrame.*load_connectome", TypeError
    ):
        cf.cohort.stack({"a": {"sc": table}})


def test_the_penalty_is_the_one_that_predicts_subjects_left_out_best():
    penalties = [0.5, 4.0, 30.0, np.inf]
    found = fit_lines(penalty=penalties)
    assert found.penalties.tolist() == penalties[::-1]
    wanted = np.array([left_out(penalty) for penalty in penalties[::-1]])
    np.testing.assert_allclose(found.held_out, wanted, rtol=1e-6)
    best = penalties[::-1][wanted.sum(1).argmin()]
    assert found.penalty == best and 0 < best < np.inf
    assert_close(found.estimate, fit_lines(penalty=best).estimate, ulps=1e5)


@pytest.mark.parametrize(("spread", "low", "high"), [(0.5, 1.0, 16.0), (0.0, 1e3, np.inf)])
def test_the_penalty_finds_how_far_subjects_differ(spread, low, high):
    rng = np.random.default_rng(1)
    means = 3.0 + spread * rng.normal(size=60)
    data = {f"s{i}": m + 0.2 * rng.normal(size=4) for i, m in enumerate(means)}

    def residuals(mean, data):
        return mean - data

    options = {"where": lambda m: m, "noise": 0.2, "penalty": [*np.logspace(-2, 4, 13), np.inf]}
    found = cf.cohort.fit(residuals, jnp.asarray(0.0), cf.cohort.stack(data), **options)
    assert low <= found.penalty <= high  # the truth is 1 / spread²


@pytest.mark.parametrize("penalty", [0.0, 2.0, [0.5, 4.0, 30.0]])
def test_the_scale_is_the_unit_of_what_is_fitted(penalty):
    """A value in another unit, with its scale, is the same fit."""
    units = np.array([1e-3, 50.0])

    def converted(params, subject):
        return line({"u": params["u"] * units}, subject)

    options = {"where": lambda p: p["u"], "noise": SIGMA, "penalty": penalty}
    other = cf.cohort.fit(converted, START, LINEAR, scale=1 / units, **options)
    found = fit_lines(penalty=penalty)
    np.testing.assert_allclose(other.estimate * units, found.estimate, rtol=1e-6)
    np.testing.assert_allclose(other.error * units, found.error, rtol=1e-6)
    np.testing.assert_allclose(other.held_out, found.held_out, rtol=1e-6)
    assert other.penalty == found.penalty


def test_the_order_of_subjects_does_not_matter():
    backwards = LINEAR.subset(LINEAR.ids[::-1])
    for penalty in (0.0, 3.0, [1.0, 8.0]):
        one = fit_lines(penalty=penalty)
        other = fit_lines(backwards, penalty=penalty, noise=SIGMA[::-1])
        # A penalty that is chosen is a further path to the same point: the solver stops at a step of the
        # root of the precision, here 3e-15 and 1.4e-11 from the solution in closed form.
        ulps = 1e4 if np.ndim(penalty) == 0 else 1e5
        assert_close(other.estimate[::-1], one.estimate, ulps=ulps)
        assert_close(other.held_out[:, ::-1], one.held_out, ulps=1e6)


# --- residuals that are not linear -----------------------------------------------------------------

TIMES = jnp.linspace(0.0, 3.0, 12)
RATES = np.array([0.4, 0.9, 1.5])
DECAYS = np.exp(-RATES[:, None] * np.asarray(TIMES)) + 0.05 * RNG.normal(size=(3, 12))
DECAYING = cf.cohort.stack(dict(zip("abc", DECAYS, strict=True)))


def decay(params, data):
    return jnp.exp(-params["rate"] * TIMES.astype(data.dtype)) - data


@pytest.mark.every(3)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("penalty", [9.0, 0.0, np.inf])
def test_a_fit_within_a_range_ends_where_the_slope_is_zero(penalty, dtype):
    """The slope of the objective, by `jax.grad` of its formula in float64."""
    positive = cf.transforms.positive()
    cohort = cf.cohort.stack({id: jnp.asarray(DECAYING.subject(id), dtype) for id in "abc"})
    start = {"rate": jnp.asarray(3.0, dtype)}
    options = {"where": lambda p: p["rate"], "transform": positive, "noise": 0.05}
    found = cf.cohort.fit(decay, start, cohort, penalty=penalty, **options)
    assert found.estimate.dtype == dtype and found.converged.all()
    assert (found.lower > 0).all() and (found.lower < found.estimate).all()

    def objective(u):
        total = sum(
            jnp.sum((decay({"rate": positive.forward(u[s])}, DECAYS[s]) / 0.05) ** 2) / 2
            for s in range(3)
        )
        return total + (0 if np.isinf(penalty) else penalty / 2 * jnp.sum((u - u.mean()) ** 2))

    u = positive.inverse(jnp.asarray(found.estimate, "float64"))
    slope = jax.grad(objective)(u)
    slope = slope.sum(keepdims=True) if np.isinf(penalty) else slope
    curvature = float(jax.hessian(objective)(u).max())
    assert np.abs(slope).max() < {"float32": 3e-2, "float64": 1e-4}[dtype] * curvature**0.5
    assert (np.ptp(found.estimate) == 0) == np.isinf(penalty)


def test_each_subject_has_its_own_noise_also_where_others_have_converged():
    start, options = {"rate": jnp.asarray(0.4)}, {"where": lambda p: p["rate"]}  # near the first
    equal = cf.cohort.fit(decay, start, DECAYING, noise=1.0, **options)
    noise = np.array([0.02, 0.3, 7.0])
    found = cf.cohort.fit(decay, start, DECAYING, noise=noise, **options)
    np.testing.assert_allclose(found.error, equal.error * noise, rtol=1e-6)
    np.testing.assert_allclose(found.estimate, equal.estimate, rtol=1e-7)
    np.testing.assert_allclose(found.loss, equal.loss, rtol=1e-7)


# --- tables ----------------------------------------------------------------------------------------


def test_a_fit_is_a_table():
    pandas = pytest.importorskip("pandas")
    found = fit_lines()
    names = [f"u[{i}]{end}" for end in ("", "_error", "_lower", "_upper") for i in (0, 1)]
    table = found.to_dict()
    assert [*table] == ["id", *names, "loss", "converged"]
    assert table["id"] == [f"s{i}" for i in range(S)]
    np.testing.assert_array_equal(table["u[1]_lower"], found.lower[:, 1])
    frame = found.to_frame()
    assert isinstance(frame, pandas.DataFrame) and frame.index.name == "id"
    assert frame.loc["s3", "u[0]"] == found.estimate[3, 0]
    assert f"u[0] {found.estimate[3, 0]:.6g} ± {found.error[3, 0]:.2g}" in str(found)
    assert_close(found.params_of("s3")["u"], found.estimate[3])
    with refuses("There is no subject 'x'"):
        found.params_of("x")


def test_several_leaves_come_back_as_where_returns_them():
    cohort = cf.cohort.stack({"a": jnp.arange(4.0), "b": 2 * jnp.arange(4.0) + 1})

    def residuals(params, data):
        return params["slope"] * jnp.arange(4.0) + params["at"] - data

    start = {"slope": jnp.asarray(0.5), "at": jnp.asarray(0.5)}
    options = {"where": lambda p: (p["at"], p["slope"]), "noise": 1.0, "chunk": 3}
    found = cf.cohort.fit(residuals, start, cohort, **options)
    assert found.names == ("at", "slope")
    np.testing.assert_allclose(found.estimate, [[0.0, 1.0], [1.0, 2.0]], atol=1e-7)
    with refuses(r"`scale` is needed where .* one number for each of params\['at'\], params"):
        cf.cohort.fit(residuals, start, cohort, penalty=1.0, **options)
    with refuses("`scale` must be one number per fitted leaf", TypeError):
        cf.cohort.fit(residuals, start, cohort, scale=1.0, **options)
    pulled = cf.cohort.fit(residuals, start, cohort, penalty=1.0, scale=(1e-4, 1e4), **options)
    # Tightly at first, hardly at the second: one height, and the slopes that then fit best.
    np.testing.assert_allclose(pulled.estimate[0], [0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(pulled.estimate[1], [1 - 3 / 14, 2 + 3 / 14], atol=1e-6)


# --- refusals and warnings -------------------------------------------------------------------------

REFUSED = {
    "negative": ({"penalty": -1.0}, ValueError, "`penalty` must be"),
    "NaN": ({"penalty": np.nan}, ValueError, "`penalty` must be a number"),
    "0 of several": ({"penalty": [0.0, 1.0]}, ValueError, "must not hold 0"),
    "matrix": ({"penalty": np.ones((2, 2))}, ValueError, "one number or a row"),
    "no noise": ({"penalty": 1.0, "noise": None}, ValueError, "`noise` is needed with this"),
    "noise": ({"noise": np.ones(3)}, ValueError, r"`noise` must have shape \(\) or \(5,\)"),
    "no spread": ({"noise": 0.0}, ValueError, "`noise` must be"),
    "one": (
        {"cohort": LINEAR.subset("s0"), "penalty": 1.0, "noise": 1.0},
        ValueError,
        "has one alone",
    ),
    "scale": ({"scale": -1.0}, ValueError, "`scale` must be"),
    "scales": ({"scale": np.ones(3)}, ValueError, r"`scale` must have shape \(\) or \(2,\)"),
    "chunk": ({"chunk": 0}, ValueError, "`chunk` must be at least 1"),
    "no cohort": ({"cohort": {"a": 1.0}}, TypeError, "must come from cf.cohort.stack"),
    "derivative": ({"derivative": "sideways"}, ValueError, "`derivative` must be"),
    "start": ({"start": {"u": jnp.array([0.0, jnp.inf])}}, ValueError, "must be finite"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_wrong_argument_is_refused(what):
    change, error, match = REFUSED[what]
    with refuses(match, error):
        fit_lines(**change)


def test_residuals_that_are_none_are_refused():
    options = {"where": lambda p: p, "noise": 1.0}
    cohort = cf.cohort.stack({"a": jnp.ones(2), "bad": jnp.array([1.0, jnp.nan])})
    with refuses(
        "The residuals of subject 'bad' and their derivatives must be finite at the start"
    ):
        cf.cohort.fit(lambda p, data: p - data, jnp.asarray(0.0), cohort, **options)
    with refuses("must return a JAX array of floats, not their sum", TypeError):
        cf.cohort.fit(lambda p, data: jnp.sum(p - data), jnp.asarray(0.0), cohort, **options)
    with refuses("There are 2 residuals of a subject for 2 fitted values"):
        options = {"where": lambda p: p}
        cf.cohort.fit(lambda p, data: p - data, jnp.zeros(2), cohort, **options)


def test_a_fit_that_is_not_finite_on_its_way_steps_back():
    cohort = cf.cohort.stack({"a": jnp.asarray([1.0, 2.0]), "b": jnp.asarray([0.5, 1.0])})

    def residuals(p, data):
        return jnp.where(p > 2.5, jnp.nan, jnp.sqrt(p + 1e-3)) - data  # a full step is too long

    options = {"where": lambda p: p, "noise": 1.0}
    found = cf.cohort.fit(residuals, jnp.asarray(0.01), cohort, **options)
    np.testing.assert_allclose(found.estimate, [1.5**2 - 1e-3, 0.75**2 - 1e-3], rtol=1e-6)


def test_what_is_not_sure_is_said():
    options = {"where": lambda p: p["rate"], "noise": 0.05, "steps": 1}
    with pytest.warns(RuntimeWarning, match="The fit did not converge of a, b, c"):
        cf.cohort.fit(decay, {"rate": jnp.asarray(3.0)}, DECAYING, **options)
    seen = np.stack([np.eye(2)[[0, 1, 1]], np.eye(2)[[0, 0, 0]]])
    cohort = cf.cohort.stack({"a": (seen[0], jnp.ones(3)), "b": (seen[1], jnp.ones(3))})
    with pytest.warns(UserWarning, match="Not identified: a value of b"):
        found = fit_lines(cohort, noise=1.0)
    assert np.isinf(found.error).tolist() == [[False, False], [False, True]]
    pulled = fit_lines(cohort, noise=1.0, penalty=1.0)  # the mean says what its own data do not
    assert np.isfinite(pulled.error).all()

    def entries(k, fc):
        return (k * fc)[jnp.triu_indices(3, 1)] - 0.5

    fcs = cf.cohort.stack({"a": jnp.full((3, 3), 0.5), "b": jnp.full((3, 3), 0.25)})
    with pytest.warns(UserWarning, match="entries of a matrix such as FC"):
        cf.cohort.fit(entries, jnp.asarray(0.1), fcs, where=lambda k: k, noise=1.0)


# --- reliability -----------------------------------------------------------------------------------

# The example of Shrout and Fleiss (1979), table 2: six targets, four judges. Table 4 gives 0.29, 0.71.
RATINGS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


@pytest.mark.parametrize(("kind", "published"), [("ICC(2,1)", 0.29), ("ICC(3,1)", 0.71)])
def test_icc_is_that_of_the_paper(kind, published):
    assert round(float(cf.cohort.icc(jnp.asarray(RATINGS, float), kind)), 2) == published


def icc_by_hand(x, kind):
    """The mean squares as loops over the definition."""
    n, k = len(x), len(x[0])
    grand = sum(map(sum, x)) / (n * k)
    rows = [sum(row) / k for row in x]
    columns = [sum(row[j] for row in x) / n for j in range(k)]
    r = sum(k * (row - grand) ** 2 for row in rows) / (n - 1)
    c = sum(n * (column - grand) ** 2 for column in columns) / (k - 1)
    e = sum((x[i][j] - rows[i] - columns[j] + grand) ** 2 for i in range(n) for j in range(k))
    e = e / ((n - 1) * (k - 1))
    shift = k * (c - e) / n if kind == "ICC(2,1)" else 0.0
    return (r - e) / (r + (k - 1) * e + shift)


@pytest.mark.every(3)
@pytest.mark.parametrize("kind", ["ICC(2,1)", "ICC(3,1)"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(seed=st.integers(0, 99), shape=st.sampled_from([(2, 2), (5, 2), (4, 3)]))
@example(seed=0, shape=(5, 3))
def test_icc_is_its_definition(dtype, kind, seed, shape):
    x = (np.random.default_rng(seed).normal(size=shape) - 65).astype(dtype)
    wanted = icc_by_hand(x.astype(float).tolist(), kind)
    for transform in TRANSFORMS.values():
        got = transform(lambda x: cf.cohort.icc(x, kind))(jnp.asarray(x))
        assert got.dtype == dtype
        # The values are 65 times their spread, and the mean is rounded as they are.
        assert_close(got, np.asarray(wanted, dtype), ulps=1e4, scale=1.0)


def test_a_shift_between_sessions_is_an_error_of_agreement_alone():
    x = jnp.asarray(np.random.default_rng(2).normal(size=(8, 2)))
    shifted = x + jnp.asarray([[0.0, 3.0]])
    agreement, consistency = (lambda x, kind=kind: cf.cohort.icc(x, kind) for kind in KINDS)
    assert agreement(shifted) < agreement(x)
    assert_close(consistency(shifted), consistency(x), ulps=1e3)
    assert_close(cf.cohort.icc(jnp.stack([x, shifted], -1))[1], agreement(shifted))
    assert np.isfinite(jax.grad(agreement)(x)).all()
    with refuses(r"`values` must be \(subject, session"):
        cf.cohort.icc(x[:1])
    with refuses("`kind` must be"):
        cf.cohort.icc(x, "ICC(1,1)")


KINDS = ("ICC(2,1)", "ICC(3,1)")


def test_reliability_is_the_icc_of_fits_of_the_same_subjects():
    again = cf.cohort.stack({f"s{i}": (DESIGN[i], DATA[i] + 0.1 * i) for i in range(S)})
    first, second = fit_lines(), fit_lines(again)
    found = cf.cohort.reliability(first, second, kind="ICC(3,1)")
    for p in (0, 1):
        values = np.stack([first.estimate[:, p], second.estimate[:, p]], 1).tolist()
        assert found[f"u[{p}]"] == pytest.approx(icc_by_hand(values, "ICC(3,1)"))
    with refuses("same subjects in the same order"):
        cf.cohort.reliability(first, fit_lines(again.subset(again.ids[::-1]), noise=1.0))
    with refuses("at least two; got 1"):
        cf.cohort.reliability(first)
    with refuses("fitted as one"):
        cf.cohort.reliability(first, fit_lines(penalty=np.inf))
    with refuses("must be results of cf.cohort.fit", TypeError):
        cf.cohort.reliability(first, 0.5)


def test_residuals_that_are_a_symmetric_matrix_are_told_of_whatever_is_rounded():
    random = np.random.default_rng(0)
    noisy = random.normal(size=(2, 6, 6))
    target = (1 + 1e-3 * (noisy + noisy.transpose(0, 2, 1))).astype("float32")
    target += 6e-8 * random.normal(size=target.shape).astype("float32")  # as a solver rounds
    cohort = cf.cohort.stack({"a": jnp.asarray(target[0]), "b": jnp.asarray(target[1])})
    ones = jnp.ones((6, 6), "float32")
    how = {"where": lambda k: k, "noise": 1e-3}
    with pytest.warns(UserWarning, match="not independent"):
        cf.cohort.fit(lambda k, data: k * ones - data, jnp.float32(0.9), cohort, **how)
    with pytest.warns(UserWarning, match="not independent"):
        cf.uncertainty(lambda k: k * ones - target[0], jnp.asarray(target[0].mean()), **how)
    whole = random.normal(size=(2, 6, 6)).astype("float32")  # entries of their own
    other = cf.cohort.stack({"a": jnp.asarray(whole[0]), "b": jnp.asarray(whole[1])})
    cf.cohort.fit(lambda k, data: k * ones - data, jnp.float32(0.9), other, **how)
