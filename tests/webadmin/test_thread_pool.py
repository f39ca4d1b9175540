"""Long work goes on in threads, and only so much of it."""

import gc
import threading
from contextlib import suppress

import gevent
import pytest

from webadmin.thread_pool import TooBusy, Workers


@pytest.fixture
def workers():
    workers = Workers(threads=2, most=40)
    yield workers
    workers.close()


def test_work_is_done_elsewhere_and_its_result_comes_back(workers):
    assert workers.run(threading.get_native_id) != threading.get_native_id()


def test_an_exception_of_the_task_is_raised_and_not_printed(workers, capfd):
    with pytest.raises(ZeroDivisionError):
        workers.run(lambda: 1 // 0)
    assert capfd.readouterr() == ("", "")


def test_too_much_work_is_refused_and_none_is_forgotten(workers):
    held = threading.Event()
    waiting = [gevent.spawn(workers.run, lambda: held.wait(20)) for _ in range(40)]
    gevent.idle()
    with pytest.raises(TooBusy):
        workers.run(int)
    held.set()
    gevent.joinall(waiting, raise_error=True)
    assert workers.run(lambda: 7) == 7


def test_a_failure_leaves_nothing_for_the_collector(workers):
    """Reference cycles would be collected many at once, and SIP would wait for that."""

    def fails():
        raise ValueError("no")

    while gc.collect():  # what tests before have left may take several turns
        pass
    gc.disable()
    try:
        for _ in range(3):
            with suppress(ValueError):
                workers.run(fails)
        assert gc.collect() == 0
    finally:
        gc.enable()
