"""The command line: one file per concern, read once, at the edge."""
