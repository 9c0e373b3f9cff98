"""Consoles for the tests; all of them are ended afterwards."""
import pytest

from driver import Console


@pytest.fixture
def start(tmp_path):
    made = []

    def starter(*args, **kwargs):
        made.append(Console(tmp_path, *args, **kwargs))
        return made[-1]
    yield starter
    for c in made:
        c.close()


@pytest.fixture
def console(start):
    c = start()
    c.wait("billing", "? help")
    return c
