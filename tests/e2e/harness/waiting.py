"""Waiting for a state, never for a time: every wait has a limit and says what it waited for."""
import os
import time

SLOW = int(os.environ.get("BUNNYDB_SLOW", "1"))  # sanitizer builds take their time
PATIENCE = 3  # limits are what a calm machine needs at most; four tests share two processors


def soon(seconds):
    """The most that something may take which has to be done within so many seconds. A machine with
    other work says little about ours."""
    is_calm = os.getloadavg()[0] < os.cpu_count()
    return seconds * SLOW * (1 if is_calm else 5)


def wait_for(condition, limit, what, every=0.05):
    """Calls condition until it returns something true, and returns that. An AssertionError or an
    OSError inside counts as "not yet". After limit seconds, taken with patience: AssertionError with
    the last answer. How soon something has to be is for the test to measure."""
    limit *= SLOW * PATIENCE
    end = time.monotonic() + limit
    while True:
        try:
            last = condition()
            if last:
                return last
        except (AssertionError, OSError) as e:
            last = e
        if time.monotonic() > end:
            raise AssertionError(f"waited {limit:.0f} s for {what}; last: {last!r}")
        time.sleep(every)
