"""When a call is repeated, and after how long; no time passes here."""

import numpy as np
import pytest

from cmnas_tf.serving.call_error import HTTP_STATUS, CallError, code_of
from cmnas_tf.serving.client import remote_model
from cmnas_tf.serving.client.remote_model import LONGEST_WAIT, Retries


class Clock:
    def __init__(self):
        self.now = 0.0
        self.waits = []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    """In place of the module ``time``."""
    found = Clock()
    monkeypatch.setattr(remote_model, "time", found)
    return found


def retries(times=3, first_wait=1.0, deadline=1000.0, seed=0):
    return Retries(times, first_wait, deadline, np.random.default_rng(seed))


def failing(clock, codes, took=0.0):
    """Fails with each of the codes in turn, then returns the seconds that it was given."""
    codes = iter(codes)

    def attempt(seconds):
        clock.now += took
        code = next(codes, None)
        if code:
            raise CallError(code, f"{code} here")
        return seconds

    return attempt


def test_a_call_that_succeeds_is_made_once(clock):
    assert retries().call(failing(clock, [])) == 1000
    assert clock.waits == []


def test_the_waits_are_drawn_below_a_limit_that_doubles(clock):
    """With a first wait of 1 s and the generator's numbers u: u0 1, u1 2, u2 4, then at most 5."""
    attempt = failing(clock, ["UNAVAILABLE", "RESOURCE_EXHAUSTED"] * 3)
    left = retries(times=6).call(attempt)
    random = np.random.default_rng(0)
    wanted = [random.uniform(0, limit) for limit in (1, 2, 4, 5, 5, 5)]
    np.testing.assert_allclose(clock.waits, wanted)
    assert max(clock.waits) < LONGEST_WAIT == 5
    assert left == 1000 - sum(clock.waits)


def test_another_seed_waits_differently(clock):
    for seed in (0, 1):
        retries(seed=seed).call(failing(clock, ["UNAVAILABLE"]))
    assert clock.waits[0] != clock.waits[1]


@pytest.mark.parametrize("code", sorted(set(HTTP_STATUS) - {"UNAVAILABLE", "RESOURCE_EXHAUSTED"}))
def test_what_would_fail_again_is_not_repeated(clock, code):
    with pytest.raises(CallError, match=f"{code} here") as raised:
        retries().call(failing(clock, [code]))
    assert raised.value.code == code
    assert clock.waits == []


@pytest.mark.parametrize("times", [0, 2])
def test_after_the_last_retry_its_reason_is_told(clock, times):
    codes = ["UNAVAILABLE"] * times + ["RESOURCE_EXHAUSTED", "UNAVAILABLE"]
    with pytest.raises(CallError, match="RESOURCE_EXHAUSTED here"):
        retries(times=times).call(failing(clock, codes))
    assert len(clock.waits) == times


def test_there_is_no_retry_that_would_begin_after_the_deadline(clock):
    """Each attempt takes 4 s of 10; a third one would begin at 8 s plus the waits, but is not
    left enough time when these are 2 s or more."""
    slow = failing(clock, ["UNAVAILABLE"] * 9, took=4.0)
    with pytest.raises(CallError):
        retries(times=9, deadline=10.0, first_wait=1.0).call(slow)
    assert clock.now <= 14
    assert 1 <= len(clock.waits) <= 2


def test_every_status_of_http_has_its_first_code():
    assert code_of(400) == "INVALID_ARGUMENT"
    assert code_of(429) == "RESOURCE_EXHAUSTED"
    assert code_of(503) == "UNAVAILABLE"
    assert code_of(418) == "UNKNOWN"
