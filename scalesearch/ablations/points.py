"""The networks that an ablation asks for, and the searches that train them."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scalesearch.ablations.spec import AXES, Ablation, AblationSeries
from scalesearch.experiment import Experiment, experiment_from_document
from scalesearch.family import read_family_source
from scalesearch.scaling import Multipliers, Shares

SAME_COST_TOLERANCE = 0.01
"""Relative difference of costs that count as the baseline's."""


@dataclass(frozen=True, slots=True)
class AblationPoint:
    """One network of a series on a baseline.

    ``name``: of the search's cell. ``asked``: nominal multipliers; of a matched point, those that
    its shares ask for. ``factor``: of the baseline's cost, nominal or (``matched``) to be realised.
    """

    name: str
    series: str
    baseline: str
    nominal_multipliers: Multipliers
    factor: float
    shares: Shares | None = None

    @property
    def is_matched(self) -> bool:
        return self.shares is not None

    @property
    def document(self) -> dict[str, Any]:
        """As an experiment's ``search.points`` has it."""
        names = {"name": self.name, "role": self.series}
        if self.shares is not None:
            return {**names, "factor": self.factor, "shares": [*self.shares.as_tuple()]}
        return {**names, **dataclasses.asdict(self.nominal_multipliers)}


def ablation_points(ablation: Ablation, baseline: str) -> tuple[AblationPoint, ...]:
    """All networks of all series, on a baseline."""
    return tuple(point for series in ablation.series for point in _series_points(series, baseline))


def ablation_experiments(ablation: Ablation) -> dict[str, Experiment]:
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
            "points": [point.document for point in ablation_points(ablation, baseline)],
            "references": [],
            "pruner": "none",
            "race": None,
            "seeds": ablation.seeds,
        },
        "seed": ablation.seed,
        "device": ablation.device,
    }
    return experiment_from_document(document, f"ablation {ablation.name} ({ablation.size})")


def _series_points(series: AblationSeries, baseline: str) -> Iterator[AblationPoint]:
    if series.along is None:
        point_count = max(map(len, (v for v in _axis_values(series) if isinstance(v, tuple))), default=0)
        for index in range(point_count or 1):
            nominal = Multipliers(*(v[index] if isinstance(v, tuple) else v for v in _axis_values(series)))
            name = f"{series.name} {_label(series, nominal)}" if point_count else series.name
            yield AblationPoint(name, series.name, baseline, nominal, nominal.factor)
        return
    shares = read_family_source(series.along).coefficients.shares
    for factor in series.factors:
        nominal = shares.coefficients(factor).at(1.0)
        matched_shares = shares if series.matched and abs(factor - 1) > SAME_COST_TOLERANCE else None
        yield AblationPoint(f"{series.name} {factor:g}x", series.name, baseline, nominal, factor, matched_shares)


def _axis_values(series: AblationSeries) -> tuple[float | tuple[float, ...], ...]:
    return series.depth, series.width, series.resolution


def _label(series: AblationSeries, multipliers: Multipliers) -> str:
    """What differs within the series: ``1.4``, or of several axes ``1.4, 1.2, 1.3``."""
    varying_axes = [axis for axis in AXES if isinstance(getattr(series, axis), tuple)]
    return ", ".join(f"{getattr(multipliers, axis):g}" for axis in varying_axes)
