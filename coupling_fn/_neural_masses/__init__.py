"""Neural masses: populations by mean rates and potentials, with a given response to input.

The public names are those of `cf.nodes`.
"""

import typing as _typing

from .._lazy import load_later as _load_later

# What a static checker sees. At run time each name loads its module when it is first used.
if _typing.TYPE_CHECKING:
    from ._divisive import WilsonCowanDivisiveParams as WilsonCowanDivisiveParams
    from ._divisive import WilsonCowanDivisiveState as WilsonCowanDivisiveState
    from ._divisive import wilson_cowan_divisive as wilson_cowan_divisive
    from ._jansen_rit import JansenRitParams as JansenRitParams
    from ._jansen_rit import JansenRitState as JansenRitState
    from ._jansen_rit import WendlingParams as WendlingParams
    from ._jansen_rit import WendlingState as WendlingState
    from ._jansen_rit import jansen_rit as jansen_rit
    from ._jansen_rit import wendling as wendling
    from ._microcircuit import CanonicalMicrocircuitParams as CanonicalMicrocircuitParams
    from ._microcircuit import CanonicalMicrocircuitState as CanonicalMicrocircuitState
    from ._microcircuit import canonical_microcircuit as canonical_microcircuit
    from ._naskar import NaskarParams as NaskarParams
    from ._naskar import NaskarState as NaskarState
    from ._naskar import naskar as naskar
    from ._thalamus import ThalamusParams as ThalamusParams
    from ._thalamus import ThalamusState as ThalamusState
    from ._thalamus import thalamus as thalamus
    from ._wilson_cowan import WilsonCowanParams as WilsonCowanParams
    from ._wilson_cowan import WilsonCowanState as WilsonCowanState
    from ._wilson_cowan import wilson_cowan as wilson_cowan
    from ._wong_wang import ReducedWongWangParams as ReducedWongWangParams
    from ._wong_wang import ReducedWongWangState as ReducedWongWangState
    from ._wong_wang import WongWangExcInhParams as WongWangExcInhParams
    from ._wong_wang import WongWangExcInhState as WongWangExcInhState
    from ._wong_wang import excitatory_rest as excitatory_rest
    from ._wong_wang import inhibitory_rest as inhibitory_rest
    from ._wong_wang import reduced_wong_wang as reduced_wong_wang
    from ._wong_wang import wong_wang_exc_inh as wong_wang_exc_inh
    from ._zetterberg_jansen import ZetterbergJansenParams as ZetterbergJansenParams
    from ._zetterberg_jansen import ZetterbergJansenState as ZetterbergJansenState
    from ._zetterberg_jansen import zetterberg_jansen as zetterberg_jansen
else:  # a static checker would take every name to be there
    _LATER = {
        "._divisive": "WilsonCowanDivisiveParams WilsonCowanDivisiveState wilson_cowan_divisive",
        "._jansen_rit": (
            "JansenRitParams JansenRitState WendlingParams WendlingState jansen_rit wendling"
        ),
        "._microcircuit": (
            "CanonicalMicrocircuitParams CanonicalMicrocircuitState canonical_microcircuit"
        ),
        "._naskar": "NaskarParams NaskarState naskar",
        "._thalamus": "ThalamusParams ThalamusState thalamus",
        "._wilson_cowan": "WilsonCowanParams WilsonCowanState wilson_cowan",
        "._wong_wang": (
            "ReducedWongWangParams ReducedWongWangState WongWangExcInhParams WongWangExcInhState "
            "excitatory_rest inhibitory_rest reduced_wong_wang wong_wang_exc_inh"
        ),
        "._zetterberg_jansen": "ZetterbergJansenParams ZetterbergJansenState zetterberg_jansen",
    }
    __getattr__, __dir__, __all__ = _load_later(__name__, _LATER)
