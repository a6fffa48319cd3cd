"""The names of schemes, for those who want no more than a word."""

from typing import Any, Literal, TypeAlias

from .._core import in_short
from ._runge_kutta import RK4, Euler, Heun
from ._scheme import Scheme, require_stages

SchemeName: TypeAlias = Literal["euler", "heun", "rk4"]
SHORTHANDS: dict[str, Scheme] = {"euler": Euler(), "heun": Heun(), "rk4": RK4()}


def name_of(scheme: Scheme) -> str:
    """Return the shorthand of a scheme, or the name of its class."""
    names = [name for name, known in SHORTHANDS.items() if type(known) is type(scheme)]
    return names[0] if names else type(scheme).__name__


def as_scheme(scheme: Any) -> Scheme:
    """Return the scheme with a name, or a scheme as it is."""
    if isinstance(scheme, Scheme):
        require_stages(scheme)
        return scheme
    if isinstance(scheme, type) and issubclass(scheme, Scheme):
        raise TypeError(f"`scheme` must not be the class {scheme.__name__}: call it.")
    if isinstance(scheme, str) and scheme in SHORTHANDS:
        return SHORTHANDS[scheme]
    names = ", ".join(map(repr, SHORTHANDS))
    what = repr(scheme) if isinstance(scheme, str) else in_short(scheme)
    raise (ValueError if isinstance(scheme, str) else TypeError)(
        f"`scheme` must be one of {names}, or a scheme of cf.schemes, not {what}."
    )
