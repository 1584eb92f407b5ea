"""Sweeps: spaces to search, oracles, experiments and their results."""
