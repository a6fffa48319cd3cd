"""Neural masses: populations by mean rates and potentials, with a given response to input.

The public names are those of `cf.nodes`.
"""

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
