"""What is wrong with a network or a run, in words."""

from ._after import diagnose_run as diagnose_run
from ._before import diagnose as diagnose
from ._report import Finding as Finding
from ._report import Report as Report
from ._units import check_units as check_units
