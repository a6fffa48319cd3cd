"""The units of what a function computes, from those of what it takes: a walk along its jaxpr.

No number is computed. What JAX writes down of a function, with its custom derivatives and batching
rules, loops and calls, is followed equation by equation; the first that adds or compares different
units, or takes a function of what has one, is a `Misfit`, in the function's own words.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from .._core import PyTree, Quantity, Solver, Unit, times, to_power, write_unit

LONGEST = 48  # characters of what an operand is called


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


ALIKE = {"add": "+", "sub": "-", "add_any": "+", "max": "max", "min": "min", "rem": "%"}
ALIKE |= {"clamp": "clip", "dynamic_update_slice": "set", "scatter": "set", "scatter-add": "+"}
ALIKE |= {name: name for name in ("concatenate", "stack", "pad", "nextafter")}
COMPARED = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "atan2": "atan2"}
# The unit of the first operand goes on to all results.
KEPT = _names(
    """
    abs reshape broadcast_in_dim slice squeeze expand_dims transpose rev reduce_sum reduce_max
    reduce_min cumsum cummax cummin convert_element_type copy copy_p stop_gradient real floor ceil
    round reduce_precision gather dynamic_slice split unstack sharding_constraint device_put pvary
    """
)
PRODUCTS = {"mul": "*", "dot_general": "@", "conv_general_dilated": "@"}
POWERS = {"sqrt": Fraction(1, 2), "rsqrt": Fraction(-1, 2), "cbrt": Fraction(1, 3), "square": 2}
PURE = _names(
    """
    exp exp2 expm1 log log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh logistic
    erf erfc erf_inv lgamma digamma reduce_prod cumprod cumlogsumexp
    """
)
COUNTS = _names(
    """
    sign is_finite argmax argmin iota and or not xor population_count reduce_and reduce_or
    shift_left shift_right_logical shift_right_arithmetic random_bits random_seed random_wrap
    random_unwrap random_fold_in threefry2x32 bitcast_convert_type
    """
)
CONVERSIONS = np.array([1e-6, 1e-3, 1e3, 1e6])
NONE: Unit = {}


class Misfit(Exception):
    """Units that do not fit; its text says where."""


def units_of(
    solver: Solver, fn: Callable[..., PyTree], *args: PyTree, units: PyTree
) -> list[Quantity]:
    """The quantities that `fn(*args)` gives, a leaf each.

    `units` has a `Quantity` for each leaf of `args`; those of whole numbers are not looked at.
    """
    leaves, tree = jax.tree.flatten(args)
    given = jax.tree.leaves(units, is_leaf=lambda x: isinstance(x, Quantity))
    floats = [
        i for i, x in enumerate(leaves) if jnp.issubdtype(jax.dtypes.result_type(x), jnp.inexact)
    ]

    def of_floats(*values: Any) -> PyTree:
        whole = list(leaves)
        for i, value in zip(floats, values, strict=True):
            whole[i] = value
        return fn(*tree.unflatten(whole))

    traced = jax.make_jaxpr(of_floats)(*(leaves[i] for i in floats))
    return _walk(solver, traced.jaxpr, traced.consts, [given[i] for i in floats])


def _walk(
    solver: Solver, jaxpr: Jaxpr, consts: Sequence[Any], args: Sequence[Quantity]
) -> list[Quantity]:
    known: dict[Any, Quantity] = dict(zip(jaxpr.invars, args, strict=True))
    known |= {var: _constant(solver, x) for var, x in zip(jaxpr.constvars, consts, strict=True)}

    def read(x: Any) -> Quantity:
        return _constant(solver, x.val) if isinstance(x, Literal) else known[x]

    for equation in jaxpr.eqns:
        results = _results(solver, equation, [read(x) for x in equation.invars])
        known |= dict(zip(equation.outvars, results, strict=True))
    return [read(x) for x in jaxpr.outvars]


def _constant(solver: Solver, x: Any) -> Quantity:
    """A number is pure; but 0 and infinity fit anywhere, and so does 1000, which may turn s to ms."""
    if not jnp.issubdtype(jax.dtypes.result_type(x), jnp.number):
        return Quantity(NONE, "a constant")
    values = np.asarray(x, float)
    fits = (values == 0) | ~np.isfinite(values)
    fits |= np.isclose(values[..., None], CONVERSIONS, rtol=1e-6, atol=0).any(-1)
    words = f"{values:g}" if values.ndim == 0 else "a constant"
    return Quantity(solver.unknown() if fits.all() else NONE, words)


def _results(solver: Solver, equation: Any, args: list[Quantity]) -> list[Quantity]:
    name, how = equation.primitive.name, equation.params
    outs = len(equation.outvars)
    if name in ALIKE:
        values = args[:1] + args[2:] if name.startswith("scatter") else args
        values = values[:2] if name == "dynamic_update_slice" else values
        return [_alike(solver, ALIKE[name], values)]
    if name == "select_n":
        chosen = _alike(solver, "where", args[1:])
        return [args[1] if len({x.words for x in args[1:]}) == 1 else chosen]
    if name in COMPARED:
        return [_alike(solver, COMPARED[name], args)._replace(unit=NONE)]
    if name == "sparse_product":  # of its entries by target and by source, and of x
        name, args = "dot_general", [args[0], args[2]]
    if name in PRODUCTS:
        return [Quantity(times(args[0].unit, args[1].unit), _told(PRODUCTS[name], args[:2]))]
    if name == "div":
        return [Quantity(times(args[0].unit, args[1].unit, -1), _told("/", args))]
    if name in POWERS or name == "integer_pow":
        power = POWERS.get(name, how.get("y", 1))
        return [Quantity(to_power(args[0].unit, power), f"{_bracketed(args[0].words)}**{power}")]
    if name == "pow":
        return [_power(solver, equation, args)]
    if name in PURE:
        return [_pure(solver, name, args[0])]
    if name == "neg":
        return [args[0]._replace(words=f"-{_bracketed(args[0].words)}")]
    if name in KEPT:
        return [args[0]] * outs
    if name in COUNTS:
        return [Quantity(NONE, name)] * outs
    if name in ("sort", "optimization_barrier"):
        return args[:outs]
    if name == "cond":
        each = [_walk(solver, x.jaxpr, x.consts, args[1:]) for x in how["branches"]]
        return [_alike(solver, "cond", list(values)) for values in zip(*each, strict=True)]
    if name == "while":
        skip, count = how["cond_nconsts"], how["body_nconsts"]
        body, carried = how["body_jaxpr"], args[skip + count :]
        after = _walk(solver, body.jaxpr, body.consts, args[skip:])
        return [_alike(solver, "loop", list(pair)) for pair in zip(carried, after, strict=True)]
    inner = [x for x in how.values() if isinstance(x, ClosedJaxpr | Jaxpr)]
    if len(inner) == 1:
        program, consts = inner[0], []
        if isinstance(program, ClosedJaxpr):
            program, consts = program.jaxpr, program.consts
        if len(program.invars) == len(args) and len(program.outvars) == outs:
            after = _walk(solver, program, consts, args)
            if name == "scan":
                first, carries = how["num_consts"], how["num_carry"]
                for pair in zip(args[first : first + carries], after, strict=False):
                    _alike(solver, "loop", list(pair))
            return after
    return [Quantity(solver.unknown(), name) for _ in range(outs)]  # of which nothing is known


def _alike(solver: Solver, sign: str, args: list[Quantity]) -> Quantity:
    first = args[0]
    for other in args[1:]:
        if not solver.agree(first.unit, other.unit):
            units = [write_unit(solver.value(x.unit)) for x in (first, other)]
            raise Misfit(
                f"`{_told(sign, [first, other])}` is of {units[0]} with {units[1]}: `{first.words}` is "
                f"in {units[0]}, `{other.words}` in {units[1]}"
            )
    return Quantity(first.unit, _told(sign, args))


def _pure(solver: Solver, name: str, x: Quantity) -> Quantity:
    if not solver.agree(x.unit, NONE):
        raise Misfit(
            f"`{name}({x.words})` is of {write_unit(solver.value(x.unit))}, not of a number"
        )
    return Quantity(NONE, _told(name, [x]))


def _power(solver: Solver, equation: Any, args: list[Quantity]) -> Quantity:
    if isinstance(equation.invars[1], Literal):
        exponent = Fraction(float(equation.invars[1].val)).limit_denominator(1000)
        return Quantity(to_power(args[0].unit, exponent), _told("**", args))
    for x in args:
        _pure(solver, "power of ", x)
    return Quantity(NONE, _told("**", args))


def _told(sign: str, args: Sequence[Quantity]) -> str:
    """How an expression is written, short."""
    words = [x.words for x in args]
    if sign in ("+", "-"):
        text = f" {sign} ".join(
            [words[0], *(_bracketed(x) if sign == "-" else x for x in words[1:])]
        )
    elif not sign.isidentifier() and len(words) == 2:
        text = f" {sign} ".join(map(_bracketed, words))
    else:
        text = f"{sign}({', '.join(words)})"
    return text if len(text) <= LONGEST else "..."


def _bracketed(words: str) -> str:
    return f"({words})" if " + " in words or " - " in words or " / " in words else words
