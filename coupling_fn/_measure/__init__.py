"""What a measurement is that runs along with a network; the measurements themselves are in `observe`."""

from ._measurement import Measured as Measured
from ._measurement import Measurement as Measurement
from ._measurement import as_milliseconds as as_milliseconds
