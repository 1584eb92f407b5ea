"""Code that C calls compiles wherever it is."""

from cb.kernels.contexts import compiled


def test_a_function_compiles_where_nothing_can_be_kept():
    found = {}
    # Numba has no folder for what is in no file.
    exec("def add(x):\n    return x + 1", found)
    assert compiled(found["add"]).ctypes(1) == 2
