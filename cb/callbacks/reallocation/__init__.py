"""The reallocation callback, the gradients it reads, the kernels it writes."""
