"""The parameters of the Balloon–Windkessel model, and its published variants."""

import warnings
from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import numpy as np

from .._core import Scalar, known, parameter, require_choice, require_positive
from .._signals import warn_of_seconds

Coefficients = Literal["buxton", "classical", "revised"]
Variant = Literal["friston2000", "friston2003", "stephan2007"]


class BalloonParams(eqx.Module):
    r"""Parameters of the Balloon–Windkessel model; the defaults are those of Friston et al. (2003).

    Each number is a scalar or one value per region. Rates are in 1/s, as published, and times in ms.

    Args:
        kappa: decay of the vasodilatory signal, $\kappa$. [1/s]
        gamma: feedback of the flow on that signal, $\gamma$. [1/s²]
        tau: transit time of blood, $\tau$. [ms]
        alpha: stiffness exponent of the vessels (Grubb), $\alpha$. [1]
        rho: share of oxygen extracted at rest, $\rho$ or $E_0$. [1]
        V0: share of venous blood at rest, $V_0$, a fraction below 1: 0.02, not 2 for percent. BOLD
            is a fraction, too: multiply it by 100 for percent. [1]
        epsilon: ratio of the signal inside the vessels to that outside, $\epsilon$. [1]
        TE: echo time of the scanner. [ms]
        theta0: frequency offset at the surface of a vessel, $\vartheta_0$; it depends on the field
            strength, and the default is for 1.5 T. [Hz]
        r0: slope of the relaxation rate inside the vessels against saturation, $r_0$; its default is
            for 1.5 T too. [1/s]
        coefficients: "buxton": $k_1 = 7 \rho,\ k_2 = 2,\ k_3 = 2 \rho - 0.2$. "classical":
            $k_1 = (1 - V_0)\, 4.3\, \vartheta_0 \rho\, TE,\ k_2 = 2 \rho,\ k_3 = 1 - \epsilon$.
            "revised": $k_1 = 4.3\, \vartheta_0 \rho\, TE,\ k_2 = \epsilon
            r_0 \rho\, TE,\ k_3 = 1 - \epsilon$. Or a function of these parameters that returns
            the three.
        linear: whether `balloon_bold` uses its linear form.

    Raises:
        ValueError: if a rate or time is not positive, or `rho` or `V0` is not between 0 and 1.

    Warns:
        UserWarning: if `tau` or `TE` would be a time in s, or `kappa` or `gamma` a rate in 1/ms.

    Source:
        K. Friston, L. Harrison, W. Penny, NeuroImage 19, 1273 (2003); K. Stephan et al., NeuroImage
        38, 387 (2007), for the coefficients.

    Example:
        >>> cf.observe.BalloonParams(tau=1000.0).tau.item()
        1000.0
    """

    kappa: Scalar = parameter("kappa", 0.65)
    gamma: Scalar = parameter("gamma", 0.41)
    tau: Scalar = parameter("tau", 980.0)
    alpha: Scalar = parameter("alpha", 0.32)
    rho: Scalar = parameter("rho", 0.34)
    V0: Scalar = parameter("V0", 0.02)
    epsilon: Scalar = parameter("epsilon", 1.0)
    TE: Scalar = parameter("TE", 40.0)
    theta0: Scalar = parameter("theta0", 40.3)
    r0: Scalar = parameter("r0", 25.0)
    coefficients: Coefficients | Callable[..., Any] = eqx.field(default="buxton", static=True)
    linear: bool = eqx.field(default=False, static=True)

    def __check_init__(self):
        for name in ("kappa", "gamma", "tau", "alpha", "rho"):
            require_positive(name, getattr(self, name))
        if known(self.rho) and (np.asarray(self.rho) >= 1).any():
            raise ValueError(f"`rho` must be below 1, as a share of the oxygen; got {self.rho}.")
        require_fraction("V0", self.V0)
        warn_of_seconds("tau", self.tau, 10.0, "the transit of blood", stacklevel=4)
        warn_of_seconds("TE", self.TE, 1.0, "an echo", stacklevel=4)
        for name, unit in (("kappa", "1/s"), ("gamma", "1/s²")):
            rate = getattr(self, name)
            if known(rate) and (np.asarray(rate) < 0.01).any():
                warnings.warn(
                    f"`{name}` is in {unit}, and was published as about 0.5; got {rate}. Is it per ms?",
                    stacklevel=3,
                )
        if not callable(self.coefficients):
            require_choice("coefficients", self.coefficients, COEFFICIENTS)


def require_fraction(name: str, share: Any) -> None:
    """Refuse a share of blood that is a percentage, or none: BOLD would be inverted, or 0."""
    if known(share) and not ((np.asarray(share) > 0) & (np.asarray(share) < 1)).all():
        raise ValueError(
            f"`{name}` must be a fraction, above 0 and below 1; got {share}. 4 % is 0.04; BOLD is then "
            "a fraction, too, and 100 times as much in percent."
        )


def balloon_params(variant: Variant) -> BalloonParams:
    """Return the parameters of a published variant of the Balloon–Windkessel model.

    - "friston2003": those of dynamic causal modelling, also used by Deco and others.
    - "friston2000": those first estimated, within 4 % of those of 2003.
    - "stephan2007": the revised, nonlinear form, with the values that dynamic causal modelling
      has used at 1.5 T since then: $V_0$ is 4 %, here 0.04.

    With each of them BOLD is a fraction; multiply it by 100 for percent.

    Args:
        variant: one of these names.

    Returns:
        The parameters.

    Raises:
        ValueError: if there is no such variant.

    Source:
        K. Friston et al., NeuroImage 12, 466 (2000); K. Friston, L. Harrison, W. Penny, NeuroImage
        19, 1273 (2003); K. Stephan et al., NeuroImage 38, 387 (2007).

    Example:
        >>> params = cf.observe.balloon_params("stephan2007")
        >>> params.coefficients, params.V0.item()
        ('revised', 0.04)
    """
    require_choice("variant", variant, _VARIANTS)
    return BalloonParams(**_VARIANTS[variant])


def _buxton(p: BalloonParams) -> tuple[Any, Any, Any]:
    return 7 * p.rho, 2, 2 * p.rho - 0.2


def _classical(p: BalloonParams) -> tuple[Any, Any, Any]:
    return (1 - p.V0) * 4.3 * p.theta0 * p.rho * p.TE / 1000, 2 * p.rho, 1 - p.epsilon


def _revised(p: BalloonParams) -> tuple[Any, Any, Any]:
    echo = p.rho * p.TE / 1000
    return 4.3 * p.theta0 * echo, p.epsilon * p.r0 * echo, 1 - p.epsilon


COEFFICIENTS = {"buxton": _buxton, "classical": _classical, "revised": _revised}
_VARIANTS: dict[str, dict[str, Any]] = {
    "friston2003": {},
    "friston2000": {"kappa": 1 / 1.54, "gamma": 1 / 2.46, "alpha": 0.33},
    "stephan2007": {
        "kappa": 0.64,
        "gamma": 0.32,
        "tau": 2000.0,
        "rho": 0.4,
        "V0": 0.04,
        "coefficients": "revised",
    },
}
