"""How threads share a network without waking each other, compiled by Numba.

One leads, the others help: they look into a box for work until there has been
none for a while, which takes a tenth of the time of waking them.

A box is an integer array `[ticket, inside, rows, looking]`. An odd ticket says
that there is nothing to do. `inside` are those who have looked at it and may
use what all share, and who leads changes nothing until they are out. `looking`
are those who have come and not left.
"""

import numba

from cb.kernels.moving import copy
from cb.kernels.vectors import increase
from cb.kernels.vectors import shared

# Looks at what another thread has done before the processor is offered to
# others, which takes longer.
PATIENCE = 1000
# Looks for something to do, 0.1 ms in all where a look takes a cycle of 4 GHz,
# several times as long where it takes more.
_LONGEST = 400_000


@numba.njit(nogil=True)
def began(x, counters, box, given):
    """Offer inputs to those who help.

    Args:
        x: float32 array of all threads, filled with the rows of `given`.
        counters: Integer array of all threads, cleared.
        box: Integer array of all threads, as above.
        given: float32 array `(examples, features)`.

    Returns:
        Whether nobody was inside for long.
    """
    if shared(box, 0) % 2 == 0:
        increase(box, 0, 1)
    looked = 0
    while shared(box, 1):
        looked += 1
        if looked > PATIENCE:
            return False
    counters[:] = 0
    copy(x.ctypes.data, given.ctypes.data, given.size, 1)
    box[2] = len(given)
    increase(box, 0, 1)
    return True


@numba.njit(nogil=True)
def next_ticket(box, before):
    """Wait for another ticket and go inside.

    Args:
        box: Integer array of all threads, as above.
        before: Integer, the ticket that is done, or -1 for who comes.

    Returns:
        The ticket, or -1 if there has been none for a while.
    """
    if before < 0:
        increase(box, 3, 1)
    for _ in range(_LONGEST):
        ticket = shared(box, 0)
        if ticket != before and ticket % 2 == 0:
            increase(box, 1, 1)
            # Who leads waits for those inside, or the ticket is another.
            if shared(box, 0) == ticket:
                return ticket
            increase(box, 1, -1)
    increase(box, 3, -1)
    return -1
