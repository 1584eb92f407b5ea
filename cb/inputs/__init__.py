"""The name that `cb.training.data` had before; it stays for one version."""

from cb.training.data import Data
from cb.training.data import build_data

__all__ = ["Data", "build_data"]
