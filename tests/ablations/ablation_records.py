"""Records as a search leaves them, of networks whose accuracy is a known function of their cost."""

import math

import numpy as np

from scalesearch.ablations.spec import ablation_experiments
from scalesearch.results.records import records_frame
from scalesearch.search.candidate_source import trials_of_points


def by_cost(gain=0.03):
    """Accuracy by the realised cost alone: ``gain`` for each doubling."""
    return lambda point, factor: 0.3 + gain * math.log2(factor)


def recorded(ablation, accuracy=None, *, seeds=3, noise=0.002, random_seed=0):
    """Baseline -> records. ``accuracy``: of a network's first point and realised factor."""
    random = np.random.default_rng(random_seed)
    shift = random.normal(0, 0.02, seeds)  # what a seed does to all alike
    found = {}
    for name, experiment in ablation_experiments(ablation).items():
        network = experiment.baseline.build_architecture(num_classes=10)
        _, planned = trials_of_points(experiment.search.points, network, experiment.budget)
        rows = []
        for trial, item in enumerate(planned):
            rows += _rows(trial, item, accuracy or by_cost(), shift, noise, random)
        found[name] = records_frame(rows)
    return found


def _rows(trial, item, accuracy, shift, noise, random):
    one, names = item.candidate, [cell.name for cell in item.cells]
    for seed, moved in enumerate(shift):
        yield {
            "trial": trial,
            "candidate": one.fingerprint,
            "role": item.role,
            "seed": seed,
            "epoch": 1,
            "alpha": one.multipliers.depth,
            "beta": one.multipliers.width,
            "gamma": one.multipliers.resolution,
            "depth_share": one.shares.depth,
            "width_share": one.shares.width,
            "resolution_share": one.shares.resolution,
            "resolution": one.architecture.resolution,
            "macs": one.cost.macs,
            "params": one.cost.params,
            "activations": one.cost.activations,
            "factor": one.factor,
            "asked_alpha": item.cells[0].requested.alpha,
            "asked_beta": item.cells[0].requested.beta,
            "asked_gamma": item.cells[0].requested.gamma,
            "deviation": 0.0,
            "cell": "; ".join(names),
            "stopped": "",
            "train_loss": 1.0,
            "loss": 1.0,
            "accuracy": accuracy(names[0], one.factor) + moved + noise * random.normal(),
            "seconds": 1.0,
            "images_per_second": 100.0,
            "device": "cpu",
            "commit": "",
        }
