"""The run folder: configuration, metrics and checkpoints."""
