"""Packages: `flags/`, beside `cb/` in a checkout, is inside of it elsewhere."""

from setuptools import find_packages
from setuptools import setup

# Folders that `find_packages` does not see.
others = ["cb.flags", "cb.flags.commands", "cb.tuning.spaces"]
setup(
    packages=[*find_packages(include=["cb", "cb.*"]), *others],
    package_dir={"cb.flags": "flags"},
)
