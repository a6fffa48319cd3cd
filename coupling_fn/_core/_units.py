"""Units as exponents, some of them unknown: read, write, multiply, and make to agree.

A. Kennedy, Types for Units-of-Measure, CEFP 2009: units are a vector space, and that two agree is a
linear equation, which tells an unknown one or is wrong.
"""

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import count
from typing import Any, NamedTuple

# From the name of a base unit, or the number of an unknown one, to its exponent. "10" is a power of
# ten, so that ms and s, or kHz and Hz, do not agree.
Unit = Mapping[str | int, Fraction]

_NAMED: dict[str, dict[str, int]] = {
    "s": {"s": 1},
    "Hz": {"s": -1},
    "V": {"V": 1},
    "A": {"A": 1},
    "C": {"A": 1, "s": 1},
    "S": {"A": 1, "V": -1},
    "Ohm": {"V": 1, "A": -1},
    "F": {"A": 1, "s": 1, "V": -1},
    "m": {"m": 1},
    "g": {"g": 1},
    "mol": {"mol": 1},
    "K": {"K": 1},
    "T": {"T": 1},
    "rad": {},
}
_PREFIXES = {
    "f": -15,
    "p": -12,
    "n": -9,
    "u": -6,
    "µ": -6,
    "m": -3,
    "c": -2,
    "k": 3,
    "M": 6,
    "G": 9,
}
# What a base unit is written in.
_WRITTEN = {"s": ("ms", -3), "V": ("mV", -3), "A": ("nA", -9), "m": ("mm", -3)}
_TOKEN = re.compile(r"\s*(?:(?P<name>[A-Za-zµ]+)|(?P<number>-?\d+(?:\.\d+)?)|(?P<sign>[()*/^]))")


def times(a: Unit, b: Unit, power: Fraction | int = 1) -> Unit:
    """The product of a unit with a power of another."""
    exponents = {x: a.get(x, Fraction(0)) + power * b.get(x, Fraction(0)) for x in {**a, **b}}
    return {x: exponent for x, exponent in exponents.items() if exponent}


def to_power(a: Unit, power: Fraction | int) -> Unit:
    """A power of a unit."""
    return times({}, a, power)


def read_unit(text: str) -> Unit:
    """Read a unit, as in docstrings: "mV/ms", "1/(mV ms)", "ms^-0.5"."""
    tokens, place = [], 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if not found:
            raise ValueError(f"a unit has no {text[place:].strip()[0]!r}")
        tokens.append((found.lastgroup, found.group(found.lastgroup or 0)))
        place = found.end()
    unit, rest = _product(tokens)
    if rest or not tokens:
        raise ValueError(f"there is {'too much' if rest else 'nothing'} in it")
    return unit


def _product(tokens: Sequence[Any]) -> tuple[Unit, Sequence[Any]]:
    unit, tokens = _power(tokens)
    while tokens and tokens[0][1] != ")":
        power = -1 if tokens[0][1] == "/" else 1
        factor, tokens = _power(tokens[1:] if tokens[0][1] in "*/" else tokens)
        unit = times(unit, factor, power)
    return unit, tokens


def _power(tokens: Sequence[Any]) -> tuple[Unit, Sequence[Any]]:
    if not tokens:
        raise ValueError("it breaks off")
    (kind, text), tokens = tokens[0], tokens[1:]
    if text == "(":
        unit, tokens = _product(tokens)
        if not tokens:
            raise ValueError("a bracket is not closed")
        tokens = tokens[1:]
    elif kind == "name":
        unit = _named(text)
    elif text == "1":
        unit = {}
    else:
        raise ValueError(f"{text!r} is no unit")
    if tokens and tokens[0][1] == "^":
        if len(tokens) < 2 or tokens[1][0] != "number":
            raise ValueError("a power is a number")
        unit, tokens = to_power(unit, Fraction(tokens[1][1])), tokens[2:]
    return unit, tokens


def _named(name: str) -> Unit:
    prefix = 0
    if name not in _NAMED and name[0] in _PREFIXES and name[1:] in _NAMED:
        prefix, name = _PREFIXES[name[0]], name[1:]
    if name not in _NAMED:
        raise ValueError(f"{name!r} is no unit that is known: {', '.join(_NAMED)}, with prefixes")
    scaled: dict[str | int, Fraction] = {x: Fraction(n) for x, n in _NAMED[name].items()}
    # A gram scales as itself, and 1/ms is a kHz: the power of ten is that of the whole name.
    return times(scaled, {"10": Fraction(prefix)})


def checked_unit(what: str, text: Any) -> str:
    """The text itself, once it has been read."""
    try:
        read_unit(text)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f'The unit of {what} must be one as "mV/ms" or "1", not {text!r}: {error}.'
        ) from None
    return text


def write_unit(unit: Unit) -> str:
    """Write a unit in ms, mV, nA and mm; unknown parts are "?"."""
    over: list[str] = []
    under: list[str] = []
    ten = unit.get("10", Fraction(0))
    for base in sorted((x for x in unit if x != "10"), key=str):
        name, scale = ("?", 0) if isinstance(base, int) else _WRITTEN.get(base, (base, 0))
        exponent = unit[base]
        ten -= exponent * scale
        size = abs(exponent)
        power = "" if size == 1 else f"^{float(size):g}"
        (over if exponent > 0 else under).append(name + power)
    above, below = " ".join(over) or "1", " ".join(under)
    written = f"{above}/{f'({below})' if len(under) > 1 else below}" if under else above
    return written if not ten else f"10^{float(ten):g} {written}"


class Solver:
    """What is known of unknown units so far.

    Attributes:
        implied: units whose powers agree with 1, because equations leave out a coefficient of 1 that
            would have them.
    """

    def __init__(self):
        self.implied: Sequence[Unit] = ()
        self._found: dict[int, Unit] = {}
        self._numbers = count()

    def unknown(self) -> Unit:
        """A new unknown unit."""
        return {next(self._numbers): Fraction(1)}

    def value(self, unit: Unit) -> Unit:
        """A unit with what has been found of its unknown parts."""
        for x in [x for x in unit if x in self._found]:
            unit = times(times(unit, {x: unit[x]}, -1), self.value(self._found[x]), unit[x])
        return unit

    def agree(self, a: Unit, b: Unit) -> bool:
        """Whether two units may be the same; if an unknown one decides, that is found by it."""
        apart = self.value(times(a, b, -1))
        unknown = next((x for x in apart if isinstance(x, int)), None)
        if unknown is not None:
            rest = times(apart, {unknown: apart[unknown]}, -1)
            self._found[unknown] = to_power(rest, -1 / apart[unknown])
            return True
        for unit in self.implied:
            base = next(x for x in unit if x != "10")
            apart = times(apart, unit, -apart.get(base, Fraction(0)) / unit[base])
        return not apart


class Quantity(NamedTuple):
    """A unit, and what has it, in words."""

    unit: Unit
    words: str
