"""Candidates at one rung, the best first."""

from bisect import bisect_left, insort


class Rung:
    """Places of candidates ordered by their accuracy; equal ones in order of their places."""

    def __init__(self) -> None:
        self._ranking: list[tuple[float, int]] = []
        self._accuracies: dict[int, float] = {}

    @property
    def count(self) -> int:
        """How many are at this rung."""
        return len(self._ranking)

    @property
    def trials(self) -> list[int]:
        """All of them, the best first."""
        return [trial for _, trial in self._ranking]

    def add(self, trial: int, accuracy: float) -> None:
        """A candidate has reached the rung; who is there already stays where it is."""
        if trial not in self._accuracies:
            self._accuracies[trial] = accuracy
            insort(self._ranking, (-accuracy, trial))

    def rank(self, trial: int) -> int:
        """Counted from 1 for the best."""
        return bisect_left(self._ranking, (-self._accuracies[trial], trial)) + 1

    def at_rank(self, rank: int) -> set[int]:
        """Who has this position, if anybody."""
        return {self._ranking[rank - 1][1]} if 1 <= rank <= self.count else set()
