"""How long networks take on this machine: measured, and fitted by a model that predicts others."""

from scalesearch.latency.bench import Timed, benchmark
from scalesearch.latency.benches import Bench, bench
from scalesearch.latency.calibration import (
    Calibration,
    Timing,
    calibrate,
    calibration_document,
    networks_around,
    prices,
    write_calibration,
)
from scalesearch.latency.stopwatch import device_name, measure, measured_in_turn

__all__ = [
    "Bench",
    "Calibration",
    "Timed",
    "Timing",
    "bench",
    "benchmark",
    "calibrate",
    "calibration_document",
    "device_name",
    "measure",
    "measured_in_turn",
    "networks_around",
    "prices",
    "write_calibration",
]
