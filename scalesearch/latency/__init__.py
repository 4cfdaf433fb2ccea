"""How long networks take on this machine: measured, and fitted by a model that predicts others."""

from scalesearch.latency.bench import NetworkTiming, time_networks
from scalesearch.latency.benches import Benchmark, run_benchmark
from scalesearch.latency.calibration import (
    LatencyFit,
    HeldOutPrediction,
    fit_latency,
    latency_fit_document,
    scaled_networks,
    fit_prices,
    write_latency_fit,
)
from scalesearch.latency.stopwatch import device_name, measure_latency, measure_latencies

__all__ = [
    "Benchmark",
    "LatencyFit",
    "NetworkTiming",
    "HeldOutPrediction",
    "run_benchmark",
    "time_networks",
    "fit_latency",
    "latency_fit_document",
    "device_name",
    "measure_latency",
    "measure_latencies",
    "scaled_networks",
    "fit_prices",
    "write_latency_fit",
]
