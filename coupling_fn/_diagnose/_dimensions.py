"""The units of what a function computes, from those of its arguments: a walk along its jaxpr.

No number is computed. The walk follows, equation by equation, the program that JAX traces from a
function, through custom derivatives, loops and calls. Each quantity is a unit with the expression it
stands for. The first equation that adds or compares different units, or that applies a function such as
exp to something with a unit, raises a `Misfit`, told in the function's own expressions.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from .._core import PyTree, Quantity, Solver, Unit, times, to_power, write_unit

LONGEST = 48  # Characters of an expression: a longer one is not written.

# Primitives of JAX by what they do to units, and how expressions write them.

# All operands must have one unit, which the result has, too.
ALIKE = {
    "add": "+",
    "add_any": "+",
    "clamp": "clip",
    "concatenate": "concatenate",
    "dynamic_update_slice": "set",
    "max": "max",
    "min": "min",
    "nextafter": "nextafter",
    "pad": "pad",
    "rem": "%",
    "scatter": "set",
    "scatter-add": "+",
    "stack": "stack",
    "sub": "-",
}
# All operands must have one unit, but the result is a pure number.
COMPARED = {
    "atan2": "atan2",
    "eq": "==",
    "ge": ">=",
    "gt": ">",
    "le": "<=",
    "lt": "<",
    "ne": "!=",
}
# The unit of the first operand is that of every result.
KEPT = frozenset(
    {
        "abs",
        "broadcast_in_dim",
        "ceil",
        "convert_element_type",
        "copy",
        "copy_p",
        "cummax",
        "cummin",
        "cumsum",
        "device_put",
        "dynamic_slice",
        "expand_dims",
        "floor",
        "gather",
        "pvary",
        "real",
        "reduce_max",
        "reduce_min",
        "reduce_precision",
        "reduce_sum",
        "reshape",
        "rev",
        "round",
        "sharding_constraint",
        "slice",
        "split",
        "squeeze",
        "stop_gradient",
        "transpose",
        "unstack",
    }
)
# The units of the first two operands are multiplied.
PRODUCTS = {"conv_general_dilated": "@", "dot_general": "@", "mul": "*"}
# The unit of the operand is raised to a power.
POWERS = {"cbrt": Fraction(1, 3), "rsqrt": Fraction(-1, 2), "sqrt": Fraction(1, 2), "square": 2}
# The operand must be a pure number, and so is the result.
PURE = frozenset(
    {
        "acos",
        "acosh",
        "asin",
        "asinh",
        "atan",
        "atanh",
        "cos",
        "cosh",
        "cumlogsumexp",
        "cumprod",
        "digamma",
        "erf",
        "erf_inv",
        "erfc",
        "exp",
        "exp2",
        "expm1",
        "lgamma",
        "log",
        "log1p",
        "logistic",
        "reduce_prod",
        "sin",
        "sinh",
        "tan",
        "tanh",
    }
)
# The result is a pure number, whatever the operands are.
COUNTS = frozenset(
    {
        "and",
        "argmax",
        "argmin",
        "bitcast_convert_type",
        "iota",
        "is_finite",
        "not",
        "or",
        "population_count",
        "random_bits",
        "random_fold_in",
        "random_seed",
        "random_unwrap",
        "random_wrap",
        "reduce_and",
        "reduce_or",
        "shift_left",
        "shift_right_arithmetic",
        "shift_right_logical",
        "sign",
        "threefry2x32",
        "xor",
    }
)
CONVERSIONS = np.array([1e-6, 1e-3, 1e3, 1e6])
NONE: Unit = {}


class Misfit(Exception):
    """Raised where units do not fit; its text says where."""


def units_of(
    solver: Solver, fn: Callable[..., PyTree], *args: PyTree, units: PyTree
) -> list[Quantity]:
    """Infer the quantities that `fn(*args)` returns, one per leaf.

    `units` has a `Quantity` per leaf of `args`; those of integers are ignored.
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
    """Infer the quantities that a program returns."""
    known: dict[Any, Quantity] = dict(zip(jaxpr.invars, args, strict=True))
    known |= {var: _constant(solver, x) for var, x in zip(jaxpr.constvars, consts, strict=True)}

    def read(x: Any) -> Quantity:
        return _constant(solver, x.val) if isinstance(x, Literal) else known[x]

    for equation in jaxpr.eqns:
        results = _results(solver, equation, [read(x) for x in equation.invars])
        known |= dict(zip(equation.outvars, results, strict=True))
    return [read(x) for x in jaxpr.outvars]


def _constant(solver: Solver, x: Any) -> Quantity:
    """Return the quantity of a constant: a pure number, or one that fits any unit.

    0 and infinity fit any unit, and so does 1000, which may convert s to ms.
    """
    if not jnp.issubdtype(jax.dtypes.result_type(x), jnp.number):
        return Quantity(NONE, "a constant")
    values = np.asarray(x, float)
    fits = (values == 0) | ~np.isfinite(values)
    fits |= np.isclose(values[..., None], CONVERSIONS, rtol=1e-6, atol=0).any(-1)
    words = f"{values:g}" if values.ndim == 0 else "a constant"
    return Quantity(solver.unknown() if fits.all() else NONE, words)


def _results(solver: Solver, equation: Any, args: list[Quantity]) -> list[Quantity]:
    """Infer the quantities that one equation of a program computes."""
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
    if name == "sparse_product":  # Its operands are the entries by target, those by source, and x.
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
    after = _called(solver, equation, args)
    if after is None:  # Nothing is known of this primitive, so its results fit any unit.
        return [Quantity(solver.unknown(), name) for _ in range(outs)]
    return after


def _called(solver: Solver, equation: Any, args: list[Quantity]) -> list[Quantity] | None:
    """Follow an equation that runs one other program on its operands, as `jit` and `scan` do."""
    how = equation.params
    inner = [x for x in how.values() if isinstance(x, ClosedJaxpr | Jaxpr)]
    if len(inner) != 1:
        return None
    program, consts = inner[0], []
    if isinstance(program, ClosedJaxpr):
        program, consts = program.jaxpr, program.consts
    if len(program.invars) != len(args) or len(program.outvars) != len(equation.outvars):
        return None
    after = _walk(solver, program, consts, args)
    if (
        equation.primitive.name == "scan"
    ):  # What is carried must come out in the unit it goes in with.
        first, carries = how["num_consts"], how["num_carry"]
        for pair in zip(args[first : first + carries], after, strict=False):
            _alike(solver, "loop", list(pair))
    return after


def _alike(solver: Solver, sign: str, args: list[Quantity]) -> Quantity:
    """Demand that all have one unit, and return it with the expression."""
    first = args[0]
    for other in args[1:]:
        if not solver.agree(first.unit, other.unit):
            units = [write_unit(solver.value(x.unit)) for x in (first, other)]
            raise Misfit(
                f"`{_told(sign, [first, other])}` mixes {units[0]} with {units[1]}: `{first.words}` is "
                f"in {units[0]}, `{other.words}` in {units[1]}"
            )
    return Quantity(first.unit, _told(sign, args))


def _pure(solver: Solver, name: str, x: Quantity) -> Quantity:
    """Demand that the operand is a pure number."""
    if not solver.agree(x.unit, NONE):
        raise Misfit(
            f"`{name}({x.words})` takes an argument in {write_unit(solver.value(x.unit))}, which must "
            "be a pure number"
        )
    return Quantity(NONE, _told(name, [x]))


def _power(solver: Solver, equation: Any, args: list[Quantity]) -> Quantity:
    """Raise a unit to a constant power; a power that is computed demands pure numbers."""
    if isinstance(equation.invars[1], Literal):
        exponent = Fraction(float(equation.invars[1].val)).limit_denominator(1000)
        return Quantity(to_power(args[0].unit, exponent), _told("**", args))
    for x in args:
        _pure(solver, "pow", x)
    return Quantity(NONE, _told("**", args))


def _told(sign: str, args: Sequence[Quantity]) -> str:
    """Write an expression; "..." if it is long."""
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
    """Put brackets around sums and quotients."""
    return f"({words})" if " + " in words or " - " in words or " / " in words else words
