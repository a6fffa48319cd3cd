"""What files hold: from bytes of each format to a plain record of arrays."""

from ._cortex import read_cortex as read_cortex
from ._read import name_of as name_of
from ._read import naming as naming
from ._read import read_record as read_record
from ._read import read_table_of as read_table_of
from ._record import LENGTHS as LENGTHS
from ._record import PREFIX as PREFIX
from ._record import SURGERY as SURGERY
from ._record import Record as Record
from ._tables import minus_one_is_missing as minus_one_is_missing
from ._text import codes_off as codes_off
from ._text import counts_off as counts_off
