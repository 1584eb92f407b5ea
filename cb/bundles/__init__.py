"""Pure: which examples a layer cannot tell apart, and what to remove."""
