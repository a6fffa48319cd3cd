"""Stimuli: external input as a function of time."""

from ._stimuli import Constant as Constant
from ._stimuli import PulseTrain as PulseTrain
from ._stimuli import Ramp as Ramp
from ._stimuli import Sampled as Sampled
from ._stimuli import Sine as Sine
from ._stimuli import Step as Step
from ._stimuli import Stimulus as Stimulus
from ._stimuli import Sum as Sum
