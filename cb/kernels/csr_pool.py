"""Threads that help with products of CSR matrices, without Python.

Jobs lie in slots that are never freed, so that a thread which is late finds a
job that is over. The caller does not wait for threads that have not begun.
"""

import numba
import numpy as np
from numba.core import types

from cb.kernels.csr_jobs import COLUMNS
from cb.kernels.csr_jobs import DONE
from cb.kernels.csr_jobs import KIND
from cb.kernels.csr_jobs import LENGTH
from cb.kernels.csr_jobs import ROWS
from cb.kernels.csr_jobs import STATE
from cb.kernels.csr_jobs import TASKS
from cb.kernels.csr_jobs import USERS
from cb.kernels.csr_jobs import job_at
from cb.kernels.csr_vectors import address_of
from cb.kernels.csr_vectors import exchange
from cb.kernels.csr_vectors import increase
from cb.kernels.csr_vectors import pointer
from cb.kernels.csr_vectors import replace
from cb.kernels.tiles import LINE

# Symbols: the memory of the pool, the work of a job, what its threads do.
POOL, WORK, SERVE = "cb_csr_pool", "cb_csr_work", "cb_csr_serve"
_FREE, _TAKEN, _OPEN = range(3)
_SLOTS = 16
# Threads that work at the same time at most, since each has memory of its own.
_WORKERS = 256
# Where things lie in the memory, in bytes: how many threads are to wake, how
# many there are, whether they shall end, a thread, what they wait for, slots,
# and for each worker whether its memory is taken, its address and size.
_WANTED, _HELPERS, _OVER, _THREAD = 0, 8, 16, 24
_MUTEX, _CONDITION, _FIRST = 64, 192, 320
_SLOT = 8 * LENGTH
_MEMORIES = _FIRST + _SLOTS * _SLOT
_MEMORY = 24
_BYTES = _MEMORIES + _WORKERS * _MEMORY
# Multiply-adds that pay for another thread, and tasks for each thread, so that
# one which is late does not hold up the others.
_WORTH = 4_000_000
_SHARES = 4
# Looks at what other threads have done before the processor is offered to
# them, which takes longer.
_PATIENCE = 1000
_compiled = numba.njit(nogil=True)
_pool, _serve = address_of(POOL), address_of(SERVE)


def external(name, result, *arguments):
    """Declare a function of C."""
    return types.ExternalFunction(name, result(*arguments))


_int, _address = types.int32, types.intp
# Compiled once, since it takes seconds.
_work = external(WORK, _address, _address)
_calloc = external("calloc", _address, _address, _address)
_free = external("free", types.void, _address)
_clear = external("memset", _address, _address, _int, _address)
_create = external("pthread_create", _int, *[_address] * 4)
_detach = external("pthread_detach", _int, _address)
_make_mutex = external("pthread_mutex_init", _int, _address, _address)
_make_condition = external("pthread_cond_init", _int, _address, _address)
_lock = external("pthread_mutex_lock", _int, _address)
_unlock = external("pthread_mutex_unlock", _int, _address)
_wait = external("pthread_cond_wait", _int, _address, _address)
_wake_all = external("pthread_cond_broadcast", _int, _address)
_yield = external("sched_yield", _int)


@_compiled
def allocate():
    """Return the address of the memory of a pool, which is never freed."""
    return _calloc(_BYTES, 1)


@_compiled
def start(helpers):
    """Start the threads of the pool."""
    pool = _pool()
    _clear(pool, types.int32(0), _BYTES)
    _make_mutex(pool + _MUTEX, 0)
    _make_condition(pool + _CONDITION, 0)
    for _ in range(helpers):
        increase(pool + _HELPERS, 1)
        if _create(pool + _THREAD, 0, _serve(), pool) == 0:
            _detach(increase(pool + _THREAD, 0))
        else:
            increase(pool + _HELPERS, -1)
    return 0


@_compiled
def stop():
    """End the threads of the pool, before their code is gone."""
    pool = _pool()
    exchange(pool + _OVER, 1)
    while increase(pool + _HELPERS, 0) > 0:
        _wake(pool, 1)
        _yield()
    return 0


@_compiled
def _wake(pool, helpers):
    """Let some threads look for a job."""
    _lock(pool + _MUTEX)
    exchange(pool + _WANTED, min(helpers, increase(pool + _HELPERS, 0)))
    _unlock(pool + _MUTEX)
    _wake_all(pool + _CONDITION)


@_compiled
def serve(pool):
    """Help with jobs until the process ends."""
    while increase(pool + _OVER, 0) == 0:
        # The next job often follows at once.
        looked = 0
        while increase(pool + _WANTED, 0) == 0 and looked < _PATIENCE:
            looked += 1
            _yield()
        _lock(pool + _MUTEX)
        while increase(pool + _WANTED, 0) == 0:
            _wait(pool + _CONDITION, pool + _MUTEX)
        increase(pool + _WANTED, -1)
        _unlock(pool + _MUTEX)
        for number in range(_SLOTS):
            address = pool + _FIRST + number * _SLOT
            if increase(address + 8 * STATE, 0) == _OPEN:
                increase(address + 8 * USERS, 1)
                # It may be over by now, or another one.
                if increase(address + 8 * STATE, 0) == _OPEN:
                    _work(address)
                increase(address + 8 * USERS, -1)
    increase(pool + _HELPERS, -1)
    return 0


@_compiled
def lend(size):
    """Return memory for a thread, and its address: what it held before.

    The first that is free is lent, which is often in a cache.

    Args:
        size: Integer, in bytes.
    """
    number = 0
    while True:
        place = _pool() + _MEMORIES + number * _MEMORY
        if replace(place, _FREE, _TAKEN) == _FREE:
            break
        number = (number + 1) % _WORKERS
        if number == 0:
            _yield()
    memory = numba.carray(pointer(place), (3,), np.int64)
    if memory[2] < size:
        _free(memory[1])
        memory[1], memory[2] = _calloc(size + LINE, 1), size
    return place, memory[1] + -memory[1] % LINE


@_compiled
def give_back(place):
    """Take back memory from a thread."""
    exchange(place, _FREE)


@_compiled
def take(kind, rows, columns):
    """Return a new job, and its address."""
    number = 0
    while True:
        address = _pool() + _FIRST + number * _SLOT
        if replace(address + 8 * STATE, _FREE, _TAKEN) == _FREE:
            break
        number = (number + 1) % _SLOTS
        if number == 0:
            _yield()
    job = job_at(address)
    # All but what other threads may still look at.
    for n in range(LENGTH):
        if n != STATE and n != USERS:
            job[n] = 0
    job[KIND], job[ROWS], job[COLUMNS] = kind, rows, columns
    return job, address


@_compiled
def run(address, threads, operations, tasks):
    """Run a job, and wait until it is done.

    Args:
        address: Integer, that of a job, which is then over.
        threads: Integer, how many may work.
        operations: Integer, multiply-adds of the job.
        tasks: Integer, its tasks.
    """
    job = job_at(address)
    job[TASKS] = tasks
    if shares(threads, operations) > 1:
        exchange(address + 8 * STATE, _OPEN)
        _wake(_pool(), min(threads, tasks) - 1)
    _work(address)
    looked = 0
    while increase(address + 8 * DONE, 0) < job[TASKS]:
        looked += 1
        if looked > _PATIENCE:
            _yield()
    exchange(address + 8 * STATE, _TAKEN)
    while increase(address + 8 * USERS, 0) > 0:
        _yield()
    exchange(address + 8 * STATE, _FREE)


@_compiled
def shares(threads, operations):
    """Return into how many tasks a job is best divided."""
    return _SHARES * threads if threads > 1 and operations > _WORTH else 1
