"""Compiled products with sparse matrices, run by several threads."""
