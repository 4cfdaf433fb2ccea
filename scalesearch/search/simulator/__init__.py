"""Searches in which nothing is trained, to learn in seconds which settings are good."""

from scalesearch.search.simulator.comparison import (
    EXHAUSTIVE,
    SettingComparison,
    compare_settings,
    experiments_by_sampler,
    surfaces_from_names,
)
from scalesearch.search.simulator.crew import SimulatedPool, WorkerFaults
from scalesearch.search.simulator.recorded import RecordedSurface, recorded_surface
from scalesearch.search.simulator.replay import ReplaySurface, load_replay, replay_from_table
from scalesearch.search.simulator.simulation import (
    GroundTruth,
    SimulationResult,
    make_tuner,
    make_ground_truth,
    simulate_search,
)
from scalesearch.search.simulator.surfaces import (
    SURFACES,
    AnalyticSurface,
    SimulatedNoise,
    SurfacePoint,
    Surface,
    measured_accuracy,
)

__all__ = [
    "EXHAUSTIVE",
    "SURFACES",
    "AnalyticSurface",
    "SettingComparison",
    "GroundTruth",
    "SimulatedNoise",
    "SurfacePoint",
    "RecordedSurface",
    "ReplaySurface",
    "SimulationResult",
    "Surface",
    "SimulatedPool",
    "WorkerFaults",
    "compare_settings",
    "make_tuner",
    "make_ground_truth",
    "measured_accuracy",
    "recorded_surface",
    "load_replay",
    "replay_from_table",
    "experiments_by_sampler",
    "simulate_search",
    "surfaces_from_names",
]
