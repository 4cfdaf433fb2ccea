"""Searches in which nothing is trained, to learn in seconds which settings are good."""

from scalesearch.search.simulator.comparison import (
    EXHAUSTIVE,
    Compared,
    compared,
    settings_of,
    surfaces_of,
)
from scalesearch.search.simulator.crew import VirtualCrew, Weather
from scalesearch.search.simulator.recorded import Recorded, recorded
from scalesearch.search.simulator.replay import Replay, replay, replay_of
from scalesearch.search.simulator.simulation import (
    Ground,
    Simulation,
    engine_of,
    ground,
    simulated,
)
from scalesearch.search.simulator.surfaces import (
    SURFACES,
    Analytic,
    Noise,
    Point,
    Surface,
    measured,
)

__all__ = [
    "EXHAUSTIVE",
    "SURFACES",
    "Analytic",
    "Compared",
    "Ground",
    "Noise",
    "Point",
    "Recorded",
    "Replay",
    "Simulation",
    "Surface",
    "VirtualCrew",
    "Weather",
    "compared",
    "engine_of",
    "ground",
    "measured",
    "recorded",
    "replay",
    "replay_of",
    "settings_of",
    "simulated",
    "surfaces_of",
]
