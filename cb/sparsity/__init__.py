"""Pure sparsity: masks, distributions, schedules, seeds, reallocation."""
