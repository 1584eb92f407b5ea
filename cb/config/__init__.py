"""Configuration of a run: its fields, and the layers they come from."""

from cb.config.configuration import ANNOTATIONS
from cb.config.configuration import FIRST
from cb.config.configuration import HELP
from cb.config.configuration import IDENTITY
from cb.config.configuration import METADATA
from cb.config.configuration import SPECS
from cb.config.configuration import Config
from cb.config.configuration import check_values
from cb.config.configuration import checked
from cb.config.configuration import default_run_dir
from cb.config.layers import FORMAT
from cb.config.layers import check_file
from cb.config.layers import check_settings
from cb.config.layers import is_explicit
from cb.config.layers import layered
from cb.config.layers import read_file

__all__ = [
    "ANNOTATIONS",
    "FIRST",
    "FORMAT",
    "HELP",
    "IDENTITY",
    "METADATA",
    "SPECS",
    "Config",
    "check_file",
    "check_settings",
    "check_values",
    "checked",
    "default_run_dir",
    "is_explicit",
    "layered",
    "read_file",
]
