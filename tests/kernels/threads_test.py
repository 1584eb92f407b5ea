"""Threads do all of some work, whatever becomes of it."""

import os
import threading

import pytest

from cb.kernels import threads


@pytest.mark.parametrize("shares", [1, 2, 5, 40])
def test_every_share_is_done_once(shares):
    done = []
    threads.share(done.append, shares)
    assert sorted(done) == [*range(shares)]


def test_a_caller_does_what_no_thread_has_begun():
    freed = threading.Event()
    # As long as there are threads, all of them wait.
    waiting = [
        threads.pool().submit(freed.wait) for _ in range(threads.threads())
    ]
    done = []
    threads.share(
        lambda number: done.append((number, threading.get_ident())), 4
    )
    freed.set()
    assert sorted(done) == [(n, threading.get_ident()) for n in range(4)]
    assert all(future.result() for future in waiting)


def test_an_error_comes_after_all_have_ended():
    begun, freed, ended = threading.Event(), threading.Event(), []

    def work(number):
        if number:
            begun.set()
            freed.wait()
            ended.append(number)
        else:
            begun.wait()
            threading.Timer(0.01, freed.set).start()
            raise ValueError("of the caller")

    with pytest.raises(ValueError, match="of the caller"):
        threads.share(work, 2)
    assert ended == [1]


def test_an_error_of_a_thread_is_that_of_the_call():
    begun = threading.Event()

    def work(number):
        if number:
            begun.set()
            raise ValueError("of a thread")
        begun.wait()

    with pytest.raises(ValueError, match="of a thread"):
        threads.share(work, 2)


def test_many_callers_share_the_threads():
    done = [[] for _ in range(8)]
    callers = [
        threading.Thread(target=threads.share, args=(found.append, 20))
        for found in done
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert all(sorted(found) == [*range(20)] for found in done)


def test_counts_processors_where_a_process_cannot_be_bound(monkeypatch):
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 7)
    assert threads.threads.__wrapped__() == 7


def test_threads_keep_off_the_processor_of_their_caller(monkeypatch):
    pool = threads.Pool()
    # As many at once as there are threads.
    ready = threading.Barrier(threads.threads())

    def native_id():
        ready.wait()
        return threading.get_native_id()

    begun = [pool.submit(native_id) for _ in range(threads.threads())]
    helpers = [one.result() for one in begun]
    allowed = os.sched_getaffinity(0)
    try:
        for here in sorted(allowed):
            monkeypatch.setattr(threads, "processor", lambda here=here: here)
            pool.keep_off()
            found = [os.sched_getaffinity(one) for one in helpers]
            # One processor must do.
            assert found == [allowed - {here} or allowed] * len(helpers)
        assert os.sched_getaffinity(0) == allowed
        # Nobody tells where the caller runs, or it may run nowhere else.
        monkeypatch.setattr(threads, "processor", lambda: None)
        pool.keep_off()
        assert [os.sched_getaffinity(one) for one in helpers] == found
    finally:
        pool.shutdown()


def test_the_processor_is_one_that_may_be_used():
    assert threads.processor() in os.sched_getaffinity(0)


@pytest.mark.parametrize("shares", [1, 2])
def test_helpers_are_moved_before_they_are_woken(monkeypatch, shares):
    moved = []
    monkeypatch.setattr(threads.Pool, "keep_off", lambda _: moved.append(1))
    threads.share(lambda number: None, shares)
    assert len(moved) == shares - 1
