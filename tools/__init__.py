"""Tools for developers of the project, besides the tests."""
