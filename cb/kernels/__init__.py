"""Compiled products with sparse matrices, and threads that share them."""
