"""Figures and tables of runs, from their folders alone."""
