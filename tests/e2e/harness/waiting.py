"""Waiting for a state, never for a time: every wait has a limit and says what it waited for."""
import os
import time

SLOW = int(os.environ.get("BUNNYDB_SLOW", "1"))  # sanitizer builds take their time


def wait_for(condition, limit, what, every=0.05):
    """Calls condition until it returns something true, and returns that. An AssertionError or an
    OSError inside counts as "not yet". After limit seconds: AssertionError with the last answer."""
    limit *= SLOW
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
