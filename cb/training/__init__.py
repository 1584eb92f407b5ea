"""Trainings: from a configuration to a finished run."""
