"""The configuration of a run, and the layers it is made of."""

from cb.config.fields import DTYPES
from cb.config.fields import NOT_IDENTITY
from cb.config.fields import SPECS
from cb.config.fields import Config
from cb.config.fields import default_run_dir
from cb.config.layers import is_explicit
from cb.config.layers import layered
from cb.config.layers import read_file

__all__ = [
    "DTYPES",
    "NOT_IDENTITY",
    "SPECS",
    "Config",
    "default_run_dir",
    "is_explicit",
    "layered",
    "read_file",
]
