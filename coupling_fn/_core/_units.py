"""Physical units as exponents of base units, some of them unknown: read, write, multiply and compare.

Units form a vector space. That two units agree is a linear equation: it either determines an unknown
unit or contradicts what is known (A. Kennedy, Types for Units-of-Measure, CEFP 2009).
"""

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import count
from typing import Any, NamedTuple

# Maps the name of each base unit, or the number of each unknown one, to its exponent. "10" stands for
# a power of ten, so that ms and s, or kHz and Hz, do not agree.
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
# The unit, and its power of ten, in which each base unit is written.
_WRITTEN = {"s": ("ms", -3), "V": ("mV", -3), "A": ("nA", -9), "m": ("mm", -3)}
_TOKEN = re.compile(r"\s*(?:(?P<name>[A-Za-zµ]+)|(?P<number>-?\d+(?:\.\d+)?)|(?P<sign>[()*/^]))")


def times(a: Unit, b: Unit, power: Fraction | int = 1) -> Unit:
    """Return the product of a unit and a power of another."""
    exponents = {x: a.get(x, Fraction(0)) + power * b.get(x, Fraction(0)) for x in {**a, **b}}
    return {x: exponent for x, exponent in exponents.items() if exponent}


def to_power(a: Unit, power: Fraction | int) -> Unit:
    """Return a power of a unit."""
    return times({}, a, power)


def read_unit(text: str) -> Unit:
    """Read a unit as docstrings write it: "mV/ms", "1/(mV ms)", "ms^-0.5"."""
    tokens, place = [], 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if not found:
            raise ValueError(f"units do not contain {text[place:].strip()[0]!r}")
        tokens.append((found.lastgroup, found.group(found.lastgroup or 0)))
        place = found.end()
    if not tokens:
        raise ValueError("it is empty")
    unit, rest = _product(tokens)
    if rest:
        raise ValueError("a bracket is not opened")
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
        raise ValueError("it ends too early")
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
        raise ValueError(f"{text!r} is not a unit")
    if tokens and tokens[0][1] == "^":
        if len(tokens) < 2 or tokens[1][0] != "number":
            raise ValueError("a power must be a number")
        unit, tokens = to_power(unit, Fraction(tokens[1][1])), tokens[2:]
    return unit, tokens


def _named(name: str) -> Unit:
    prefix = 0
    if name not in _NAMED and name[0] in _PREFIXES and name[1:] in _NAMED:
        prefix, name = _PREFIXES[name[0]], name[1:]
    if name not in _NAMED:
        raise ValueError(
            f"{name!r} is not a known unit; those are {', '.join(_NAMED)}, with prefixes"
        )
    scaled: dict[str | int, Fraction] = {x: Fraction(n) for x, n in _NAMED[name].items()}
    # The power of ten belongs to the whole name: the base unit of mass is the gram, and 1/ms is a kHz.
    return times(scaled, {"10": Fraction(prefix)})


def checked_unit(what: str, text: Any) -> str:
    """Return the text itself if it is a unit; `what` names in the error what has that unit."""
    try:
        read_unit(text)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f'The unit of {what} must be one such as "mV/ms" or "1", not {text!r}: {error}.'
        ) from None
    return text


def write_unit(unit: Unit) -> str:
    """Write a unit in ms, mV, nA and mm, with "?" for unknown parts."""
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
    """Collects what is known about unknown units, one equation after the other.

    Attributes:
        implied: units whose powers count as 1, because equations leave out a coefficient of 1 that
            would have them.
    """

    def __init__(self):
        self.implied: Sequence[Unit] = ()
        self._found: dict[int, Unit] = {}
        self._numbers = count()

    def unknown(self) -> Unit:
        """Return a new unknown unit."""
        return {next(self._numbers): Fraction(1)}

    def value(self, unit: Unit) -> Unit:
        """Replace the unknown parts of a unit by what has been found for them."""
        for x in [x for x in unit if x in self._found]:
            unit = times(times(unit, {x: unit[x]}, -1), self.value(self._found[x]), unit[x])
        return unit

    def agree(self, a: Unit, b: Unit) -> bool:
        """Return whether two units can be the same, and solve for an unknown one if there is one."""
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
    """A unit, and in words the quantity that has it."""

    unit: Unit
    words: str
