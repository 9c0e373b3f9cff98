"""Promise: whatever is done to tables, rows and definitions at the source, and whatever happens to
the program meanwhile, both databases are equal in the end. Fixed seeds of tests/random."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "random"))

from scenario.main import World, describe  # noqa: E402
from scenario.plan import Options, make_plan  # noqa: E402
from scenario.sessions import render  # noqa: E402

SEEDS = [
    pytest.param("", 3, marks=pytest.mark.quick),
    ("", 30),
    ("", 50),
    ("--restarts", 12),
    ("--many --operations 20", 21),
    pytest.param("--ddl --operations 60", 23, marks=pytest.mark.quick),
    ("--ddl --operations 60", 7),
    ("--ddl --operations 60", 2),
    ("--ddl --operations 60", 20),
    ("--ddl --operations 60", 29),
]


def options_of(words):
    words = words.split()
    number = words[words.index("--operations") + 1] if "--operations" in words else 120
    return Options(int(number), "--restarts" in words, ddl="--ddl" in words,
                   many="--many" in words)


@pytest.mark.long
@pytest.mark.limit(400)
@pytest.mark.parametrize("words, seed", SEEDS)
def test_a_random_scenario_ends_with_equal_databases(root, source, dest, words, seed):
    player, wrong, log = World(root, source, dest).play(make_plan(seed, options_of(words)))
    if wrong:
        lines = [render(line)[:300] for line in player.transcript.lines[-40:]]
        pytest.fail("\n".join([describe(wrong), *lines, log[-3000:],
                               f"made smaller by: tests/random/run {words} --seed {seed}"]))
    assert player.transcript.done > 100
