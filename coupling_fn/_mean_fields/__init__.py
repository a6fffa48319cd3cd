"""Mean fields of spiking neurons, derived from the equations of one neuron.

The public names are those of `cf.nodes`.
"""

from ._aln import AlnParams as AlnParams
from ._aln import AlnState as AlnState
from ._aln import aln as aln
from ._aln_tables import AlnTables as AlnTables
from ._aln_tables import load_aln_tables as load_aln_tables
from ._izhikevich import IzhikevichParams as IzhikevichParams
from ._izhikevich import IzhikevichState as IzhikevichState
from ._izhikevich import TsodyksMarkramParams as TsodyksMarkramParams
from ._izhikevich import TsodyksMarkramState as TsodyksMarkramState
from ._izhikevich import izhikevich as izhikevich
from ._izhikevich import tsodyks_markram as tsodyks_markram
from ._quadratic import CoombesByrneParams as CoombesByrneParams
from ._quadratic import CoombesByrneState as CoombesByrneState
from ._quadratic import MontbrioPazoRoxinParams as MontbrioPazoRoxinParams
from ._quadratic import MontbrioPazoRoxinState as MontbrioPazoRoxinState
from ._quadratic import coombes_byrne as coombes_byrne
from ._quadratic import montbrio_pazo_roxin as montbrio_pazo_roxin
