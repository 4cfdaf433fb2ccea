"""Candidates at one rung, the best first."""

from bisect import bisect_left, insort


class Ladder:
    """Places of candidates ordered by their accuracy; equal ones in order of their places."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, int]] = []
        self._values: dict[int, float] = {}

    @property
    def count(self) -> int:
        """How many are at this rung."""
        return len(self._rows)

    @property
    def places(self) -> list[int]:
        """All of them, the best first."""
        return [place for _, place in self._rows]

    def put(self, place: int, value: float) -> None:
        """A candidate has reached the rung; who is there already stays where it is."""
        if place not in self._values:
            self._values[place] = value
            insort(self._rows, (-value, place))

    def position(self, place: int) -> int:
        """Counted from 1 for the best."""
        return bisect_left(self._rows, (-self._values[place], place)) + 1

    def at(self, position: int) -> set[int]:
        """Who has this position, if anybody."""
        return {self._rows[position - 1][1]} if 1 <= position <= self.count else set()
