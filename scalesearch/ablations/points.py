"""The networks that an ablation asks for, and the searches that train them."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scalesearch.ablations.spec import AXES, Ablation, Series
from scalesearch.experiment import Experiment, experiment_from
from scalesearch.family import read_source
from scalesearch.scaling import Multipliers, Shares

SAME = 0.01
"""Relative difference of costs that count as the baseline's."""


@dataclass(frozen=True, slots=True)
class Point:
    """One network of a series on a baseline.

    ``name``: of the search's cell. ``asked``: nominal multipliers; of a matched point, those that
    its shares ask for. ``factor``: of the baseline's cost, nominal or (``matched``) to be realised.
    """

    name: str
    series: str
    baseline: str
    asked: Multipliers
    factor: float
    shares: Shares | None = None

    @property
    def matched(self) -> bool:
        return self.shares is not None

    @property
    def document(self) -> dict[str, Any]:
        """As an experiment's ``search.points`` has it."""
        named = {"name": self.name, "role": self.series}
        if self.shares is not None:
            return {**named, "factor": self.factor, "shares": [*self.shares.as_tuple()]}
        return {**named, **dataclasses.asdict(self.asked)}


def points(ablation: Ablation, baseline: str) -> tuple[Point, ...]:
    """All networks of all series, on a baseline."""
    return tuple(point for series in ablation.series for point in _points(series, baseline))


def experiments(ablation: Ablation) -> dict[str, Experiment]:
    """For each baseline the search that trains its networks, all to the end, with all seeds.

    Raises ExperimentError for what an experiment does not allow.
    """
    return {name: _experiment(ablation, name) for name in ablation.baselines}


def _experiment(ablation: Ablation, baseline: str) -> Experiment:
    document = {
        "name": f"{ablation.name}-{ablation.size}-{baseline}",
        "baseline": {"name": baseline, **ablation.baseline, **ablation.baselines[baseline]},
        "data": ablation.data,
        "budget": ablation.budget,
        "recipe": ablation.recipe,
        "search": {
            "sampler": "points",
            "points": [point.document for point in points(ablation, baseline)],
            "references": [],
            "pruner": "none",
            "race": None,
            "seeds": ablation.seeds,
        },
        "seed": ablation.seed,
        "device": ablation.device,
    }
    return experiment_from(document, f"ablation {ablation.name} ({ablation.size})")


def _points(series: Series, baseline: str) -> Iterator[Point]:
    if series.along is None:
        several = max(map(len, (v for v in _values(series) if isinstance(v, tuple))), default=0)
        for place in range(several or 1):
            asked = Multipliers(*(v[place] if isinstance(v, tuple) else v for v in _values(series)))
            name = f"{series.name} {_label(series, asked)}" if several else series.name
            yield Point(name, series.name, baseline, asked, asked.factor)
        return
    shares = read_source(series.along).coefficients.shares
    for factor in series.factors:
        asked = shares.coefficients(factor).at(1.0)
        matched = shares if series.matched and abs(factor - 1) > SAME else None
        yield Point(f"{series.name} {factor:g}x", series.name, baseline, asked, factor, matched)


def _values(series: Series) -> tuple[float | tuple[float, ...], ...]:
    return series.depth, series.width, series.resolution


def _label(series: Series, asked: Multipliers) -> str:
    """What differs within the series: ``1.4``, or of several axes ``1.4, 1.2, 1.3``."""
    moving = [axis for axis in AXES if isinstance(getattr(series, axis), tuple)]
    return ", ".join(f"{getattr(asked, axis):g}" for axis in moving)
