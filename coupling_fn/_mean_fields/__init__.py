"""Mean fields of spiking neurons, derived from the equations of one neuron.

The public names are those of `cf.nodes`.
"""

import typing as _typing

from .._lazy import load_later as _load_later

# What a static checker sees. At run time each name loads its module when it is first used.
if _typing.TYPE_CHECKING:
    from ._adaptation import GastSchmidtKnoscheSDParams as GastSchmidtKnoscheSDParams
    from ._adaptation import GastSchmidtKnoscheSDState as GastSchmidtKnoscheSDState
    from ._adaptation import GastSchmidtKnoscheSFParams as GastSchmidtKnoscheSFParams
    from ._adaptation import GastSchmidtKnoscheSFState as GastSchmidtKnoscheSFState
    from ._adaptation import gast_schmidt_knosche_sd as gast_schmidt_knosche_sd
    from ._adaptation import gast_schmidt_knosche_sf as gast_schmidt_knosche_sf
    from ._aln import AlnParams as AlnParams
    from ._aln import AlnState as AlnState
    from ._aln import aln as aln
    from ._aln_tables import AlnTables as AlnTables
    from ._aln_tables import load_aln_tables as load_aln_tables
    from ._dumont_gutkin import DumontGutkinParams as DumontGutkinParams
    from ._dumont_gutkin import DumontGutkinState as DumontGutkinState
    from ._dumont_gutkin import dumont_gutkin as dumont_gutkin
    from ._ion_exchange import KIonExParams as KIonExParams
    from ._ion_exchange import KIonExState as KIonExState
    from ._ion_exchange import k_ion_ex as k_ion_ex
    from ._izhikevich import IzhikevichParams as IzhikevichParams
    from ._izhikevich import IzhikevichState as IzhikevichState
    from ._izhikevich import TsodyksMarkramParams as TsodyksMarkramParams
    from ._izhikevich import TsodyksMarkramState as TsodyksMarkramState
    from ._izhikevich import izhikevich as izhikevich
    from ._izhikevich import tsodyks_markram as tsodyks_markram
    from ._quadratic import CoombesByrne2dParams as CoombesByrne2dParams
    from ._quadratic import CoombesByrne2dState as CoombesByrne2dState
    from ._quadratic import CoombesByrneParams as CoombesByrneParams
    from ._quadratic import CoombesByrneState as CoombesByrneState
    from ._quadratic import MontbrioPazoRoxinParams as MontbrioPazoRoxinParams
    from ._quadratic import MontbrioPazoRoxinState as MontbrioPazoRoxinState
    from ._quadratic import coombes_byrne as coombes_byrne
    from ._quadratic import coombes_byrne_2d as coombes_byrne_2d
    from ._quadratic import montbrio_pazo_roxin as montbrio_pazo_roxin
    from ._reduced_sets import ReducedSetFitzHughNagumoParams as ReducedSetFitzHughNagumoParams
    from ._reduced_sets import ReducedSetFitzHughNagumoState as ReducedSetFitzHughNagumoState
    from ._reduced_sets import ReducedSetHindmarshRoseParams as ReducedSetHindmarshRoseParams
    from ._reduced_sets import ReducedSetHindmarshRoseState as ReducedSetHindmarshRoseState
    from ._reduced_sets import reduced_set_fitzhugh_nagumo as reduced_set_fitzhugh_nagumo
    from ._reduced_sets import reduced_set_hindmarsh_rose as reduced_set_hindmarsh_rose
    from ._zerlaut import ZerlautFirstOrderParams as ZerlautFirstOrderParams
    from ._zerlaut import ZerlautFirstOrderState as ZerlautFirstOrderState
    from ._zerlaut import zerlaut_first_order as zerlaut_first_order
    from ._zerlaut_second import ZerlautSecondOrderParams as ZerlautSecondOrderParams
    from ._zerlaut_second import ZerlautSecondOrderState as ZerlautSecondOrderState
    from ._zerlaut_second import zerlaut_second_order as zerlaut_second_order
else:  # a static checker would take every name to be there
    _LATER = {
        "._adaptation": (
            "GastSchmidtKnoscheSDParams GastSchmidtKnoscheSDState GastSchmidtKnoscheSFParams "
            "GastSchmidtKnoscheSFState gast_schmidt_knosche_sd gast_schmidt_knosche_sf"
        ),
        "._aln": "AlnParams AlnState aln",
        "._aln_tables": "AlnTables load_aln_tables",
        "._dumont_gutkin": "DumontGutkinParams DumontGutkinState dumont_gutkin",
        "._ion_exchange": "KIonExParams KIonExState k_ion_ex",
        "._izhikevich": (
            "IzhikevichParams IzhikevichState TsodyksMarkramParams TsodyksMarkramState izhikevich "
            "tsodyks_markram"
        ),
        "._quadratic": (
            "CoombesByrne2dParams CoombesByrne2dState CoombesByrneParams CoombesByrneState "
            "MontbrioPazoRoxinParams MontbrioPazoRoxinState coombes_byrne coombes_byrne_2d "
            "montbrio_pazo_roxin"
        ),
        "._reduced_sets": (
            "ReducedSetFitzHughNagumoParams ReducedSetFitzHughNagumoState "
            "ReducedSetHindmarshRoseParams ReducedSetHindmarshRoseState "
            "reduced_set_fitzhugh_nagumo reduced_set_hindmarsh_rose"
        ),
        "._zerlaut": "ZerlautFirstOrderParams ZerlautFirstOrderState zerlaut_first_order",
        "._zerlaut_second": "ZerlautSecondOrderParams ZerlautSecondOrderState zerlaut_second_order",
    }
    __getattr__, __dir__, __all__ = _load_later(__name__, _LATER)
