"""The deadline of work: when it ends the work, and with which refusal."""

import time

import pytest
from flask import Flask

from chainrule.checkpoint import unlimited
from service.problems import PROBLEMS, WORK_TIMED_OUT, Refusal
from service.resources.deadline import CLIENT_GONE, DEADLINE, Deadline, checkpoint


def test_work_continues_until_its_deadline() -> None:
    """The next checkpoint then ends it. There is no Retry-After, because the same request would take as long again."""
    deadline = Deadline(0.05)
    deadline()
    time.sleep(0.06)
    with pytest.raises(Refusal) as caught:
        deadline()
    assert caught.value.problem is WORK_TIMED_OUT
    assert caught.value.headers == {}
    assert "0.05 s (CHAINRULE_WORK_SECONDS)" in caught.value.detail


def test_waiting_time_does_not_count() -> None:
    """The deadline moves by the time in which the work waits for a slot or for memory."""
    deadline = Deadline(0.05)
    time.sleep(0.06)
    deadline.extend(10)
    deadline()
    assert 9 < deadline.left < 10


def test_work_for_a_disconnected_client_ends_at_the_next_checkpoint() -> None:
    """It ends with status 499, which no client gets and no problem document lists."""
    deadline = Deadline(100)
    deadline.cancel()
    with pytest.raises(Refusal) as caught:
        deadline()
    assert caught.value.problem is CLIENT_GONE
    assert CLIENT_GONE.status == 499
    assert CLIENT_GONE.name not in PROBLEMS


def test_a_request_has_the_deadline_that_the_server_gave_it() -> None:
    """Without a server it has none."""
    deadline = Deadline(1)
    with Flask("app").test_request_context(environ_overrides={DEADLINE: deadline}):
        assert checkpoint() is deadline
    with Flask("app").test_request_context():
        assert checkpoint() is unlimited
