"""Latency of networks on this machine: measured, and fitted by a model."""
