"""Makes a failed plan smaller: without tables, then without groups of steps (transactions,
incidents), as long as it fails in the same way."""
import re
import time


def signature(wrong):
    """What makes two failures the same: names and numbers left out."""
    text = f"{type(wrong).__name__}: {wrong}"
    text = re.sub(r'"[^"]*"|[0-9A-Fa-f]+/[0-9A-Fa-f]+|\d+', "#", text.split("\n", maxsplit=1)[0])
    text = re.sub(r"^(.*?)(differs|stopped|not caught up|found no row).*", r"\2", text)
    return text[:60]


class Shrinker:
    def __init__(self, world, plan, wrong, seconds):
        self.world, self.plan, self.seconds = world, plan, seconds
        self.signature = signature(wrong)
        self.end = time.monotonic() + seconds
        self.best = None
        self.groups, self.without = plan.groups, frozenset()

    def fails(self, groups, without):
        player, wrong, log = self.world.play(self.plan.reduced(set(groups), without))
        if wrong is None or signature(wrong) != self.signature:
            return False
        self.best, self.groups, self.without = (player, wrong, log), groups, without
        return True

    @property
    def is_over(self):
        return time.monotonic() > self.end

    def tables(self):
        """As many tables as possible go, the last ones first: others rest on the first."""
        for t in reversed(self.plan.tables):
            if self.is_over:
                return
            self.fails(self.groups, self.without | {t.number})

    def steps(self):
        """Halves, quarters, … of the groups, each left out once."""
        size = max(len(self.groups) // 2, 1)
        while not self.is_over:
            at = 0
            while at < len(self.groups) and not self.is_over:
                if not self.fails(self.groups[:at] + self.groups[at + size:], self.without):
                    at += size
            if size == 1:
                return
            size = max(size // 2, 1)


def shrink(world, plan, wrong, seconds):
    """(player, what was wrong, log) of the smallest failure found, or None."""
    s = Shrinker(world, plan, wrong, seconds)
    s.tables()
    s.steps()
    return s.best
