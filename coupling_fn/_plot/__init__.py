"""Pictures of connectomes, signals and searches: matplotlib axes in, axes out.

matplotlib comes with `coupling_fn[plot]` and is imported when the first picture is drawn.
"""

from ._matrices import plot_connectome as plot_connectome
from ._matrices import plot_fc as plot_fc
from ._matrices import plot_fcd as plot_fcd
from ._searches import plot_fit as plot_fit
from ._searches import plot_sweep as plot_sweep
from ._signals import plot_order_parameter as plot_order_parameter
from ._signals import plot_phase_portrait as plot_phase_portrait
from ._signals import plot_signals as plot_signals
from ._signals import plot_spectrum as plot_spectrum
