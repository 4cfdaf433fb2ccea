"""Freed memory stays in the process while an epoch is trained, but not longer."""

import subprocess
import sys

import pytest
import torch

from scalesearch.training import loop as allocator
from scalesearch.training.loop import DEFAULT_OPTIONS, KEEP_MEMORY_OPTIONS, keep_memory, train

CPU = torch.device("cpu")
glibc = pytest.mark.skipif(allocator._mallopt() is None, reason="needs glibc's allocator")


@pytest.fixture
def called(monkeypatch):
    """The thresholds that are set, in order."""
    calls = []
    monkeypatch.setattr(allocator, "_mallopt", lambda: lambda *call: calls.append(call))
    return calls


def test_options_are_set_and_restored(called):
    with keep_memory(CPU):
        assert dict(called) == KEEP_MEMORY_OPTIONS
        called.clear()
    assert dict(called) == DEFAULT_OPTIONS


def test_options_are_restored_after_an_error(called):
    def failing():
        with keep_memory(CPU):
            called.clear()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert dict(called) == DEFAULT_OPTIONS


def test_only_the_cpu_changes_options(called):
    with keep_memory(torch.device("cuda")):
        pass
    assert not called


def test_other_c_libraries_are_left_unchanged(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    allocator._mallopt.cache_clear()
    try:
        with keep_memory(CPU):
            assert torch.ones(3).sum() == 3
    finally:
        allocator._mallopt.cache_clear()


FAULTS = """
import resource
import torch
from scalesearch.training.loop import keep_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.zeros(16 << 20).add_(1)  # 64 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

fetched = min(faults() for _ in range(3))
with keep_memory(torch.device("cpu")):
    kept = min(faults() for _ in range(3))
print(fetched, kept)
"""


@glibc
def test_large_blocks_are_used_again():
    """In a process of its own: one that has trained has memory left to take."""
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True)
    fetched, kept = map(int, done.stdout.split())
    assert kept < fetched / 4


def test_training_keeps_memory_within_an_epoch_and_not_between_epochs(job, dataset, called):
    epochs = train(job, dataset, device="cpu")
    next(epochs)
    assert called == [*KEEP_MEMORY_OPTIONS.items(), *DEFAULT_OPTIONS.items()]
    next(epochs)
    epochs.close()
    assert called == 2 * [*KEEP_MEMORY_OPTIONS.items(), *DEFAULT_OPTIONS.items()]
