"""Commands with flags: one file each."""
