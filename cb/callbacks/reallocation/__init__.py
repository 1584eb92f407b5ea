"""The reallocation callback and what it writes to."""
