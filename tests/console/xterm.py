"""A terminal for tests: pyte, with what ncurses uses on an xterm and pyte does not know (REP, SU, SD)."""
import pyte


class Screen(pyte.Screen):
    """pyte's screen with three things that ncurses uses on an xterm and pyte does not know."""
    last = " "

    def draw(self, data):
        self.last = data[-1] if data else self.last
        super().draw(data)

    def repeat(self, count=1):
        super().draw(self.last * (count or 1))

    def _scroll(self, count, edge, move):
        keep = self.cursor.x, self.cursor.y
        margins = self.margins or pyte.screens.Margins(0, self.lines - 1)
        self.cursor.y = getattr(margins, edge)
        for _ in range(count or 1):
            move()
        self.cursor.x, self.cursor.y = keep

    def scroll_up(self, count=1):
        self._scroll(count, "bottom", self.index)

    def scroll_down(self, count=1):
        self._scroll(count, "top", self.reverse_index)


class Stream(pyte.ByteStream):
    csi = dict(pyte.ByteStream.csi, b="repeat", S="scroll_up", T="scroll_down")
    events = pyte.ByteStream.events | {"repeat", "scroll_up", "scroll_down"}
