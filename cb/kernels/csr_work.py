"""What threads do for a job, whatever its kind."""

import numba

from cb.kernels.csr_convolutions import convolution
from cb.kernels.csr_convolutions import convolution_gradients
from cb.kernels.csr_jobs import CONVOLUTION
from cb.kernels.csr_jobs import CONVOLUTION_GRADIENTS
from cb.kernels.csr_jobs import DONE
from cb.kernels.csr_jobs import KIND
from cb.kernels.csr_jobs import NEXT
from cb.kernels.csr_jobs import PRODUCT
from cb.kernels.csr_jobs import TASKS
from cb.kernels.csr_jobs import edge
from cb.kernels.csr_jobs import gradients
from cb.kernels.csr_jobs import job_at
from cb.kernels.csr_jobs import product
from cb.kernels.csr_vectors import increase


@numba.njit(nogil=True)
def work(address):
    """Do tasks of a job until there are no more."""
    job = job_at(address)
    number = increase(address + 8 * NEXT, 1)
    while number < job[TASKS]:
        if job[KIND] == CONVOLUTION:
            convolution(job, number)
        elif job[KIND] == CONVOLUTION_GRADIENTS:
            convolution_gradients(job, number)
        elif job[KIND] == PRODUCT:
            product(job, edge(job, number), edge(job, number + 1))
        else:
            gradients(job, edge(job, number), edge(job, number + 1))
        increase(address + 8 * DONE, 1)
        number = increase(address + 8 * NEXT, 1)
    return 0
