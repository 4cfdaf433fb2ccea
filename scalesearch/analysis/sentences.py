"""What a conclusion says in one sentence."""

from typing import TYPE_CHECKING

from scalesearch.analysis.optimum import Interval

if TYPE_CHECKING:
    from scalesearch.analysis.answer import Result
    from scalesearch.analysis.conclusion import Conclusion


def sentence(found: "Conclusion") -> str:
    """The answer in one sentence, with what is to be known about it."""
    runs = f"{_counted(found.seeds, 'seed')} and {_counted(found.epoch, 'epoch')}"
    parts = [_answer(found, runs)]
    if found.optimum is not None and found.seeds == 1:
        parts.append(
            "one seed tells no noise of its own, so all of it rests on what the surface leaves over"
        )
    if found.unequal:
        low, high = found.costs
        parts.append(
            f"the networks cost {low:.2f}x to {high:.2f}x, so this compares unlike with unlike"
        )
    return f"{'; '.join(parts)}."


def _answer(found: "Conclusion", runs: str) -> str:
    optimum, best = found.optimum, found.recommended
    if optimum is None or best is None:
        return (
            f"No answer yet: {_counted(found.candidates, 'network')} with {runs} "
            f"{'does' if found.candidates == 1 else 'do'} not determine where accuracy is highest"
        )
    known = found.candidates + len(found.stopped)
    if optimum.p_flat > found.level:
        clear = [
            f"the network of {one.reference}" if one.stands_in else one.reference
            for one in found.comparisons
            if one.settled and one.difference > 0
        ]
        but = f"; clearly worse is only {' and '.join(clear)}" if clear else ""
        what = "Nothing is distinguishable" if not clear else "The surface tells nothing apart"
        return (
            f"{what}: among {known} networks of about {found.factor:g}x the cost, {runs} show no "
            f"effect of the shares that chance does not explain (p = {optimum.p_flat:.2f}){but}, "
            f"so take the cheapest to run, {network(best)}"
        )
    values = ", ".join(f"{name} {bounds(one)}" for name, one in optimum.intervals.items())
    count = len(optimum.flat_candidates)
    if count > 1:
        alike = (
            f"of {known} networks {count} cannot be told from the best; take {network(best)}, "
            f"{found.why}"
        )
    else:
        alike = f"the network to take, of {known}, is {network(best)}"
    return (
        f"At {found.factor:g}x the cost {values} ({100 - 100 * found.level:g}% intervals from "
        f"{runs}); {alike}"
    )


def network(result: "Result") -> str:
    """A network by its fingerprint's beginning and its multipliers."""
    scaled = result.multipliers
    return (
        f"{result.candidate[:8]} (depth x{scaled.depth:.2f}, width x{scaled.width:.2f}, "
        f"resolution x{scaled.resolution:.2f})"
    )


def bounds(one: Interval) -> str:
    """A value and its interval."""
    return f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}]"


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"
