"""Peak memory and utilisation: peaks rise and are reset, utilisation is a fraction."""

import sys
from dataclasses import replace

import pytest
import torch

from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.data.dataset import Dataset, Split
from scalesearch.training import profiling as usage
from scalesearch.training.job import TrainingJob
from scalesearch.training.loop import train

CPU = torch.device("cpu")
MEBIBYTE = 2**20


def repeated(split: Split, times: int) -> Split:
    return Split(split.images.repeat(times, 1, 1, 1), split.labels.repeat(times))


only_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@only_linux
def test_the_peak_rises_with_allocations_and_can_be_reset() -> None:
    usage.release_memory(CPU)
    usage.reset_peak_memory(CPU)
    before = usage.peak_bytes(CPU)
    assert before > 10 * MEBIBYTE  # Python and PyTorch alone are more
    block = torch.ones(200 * MEBIBYTE, dtype=torch.uint8)
    during = usage.peak_bytes(CPU)
    assert during - before == pytest.approx(block.nbytes, rel=0.1)
    del block
    usage.release_memory(CPU)
    assert usage.peak_bytes(CPU) == pytest.approx(during, rel=0.01)  # what was is remembered
    usage.reset_peak_memory(CPU)
    assert usage.peak_bytes(CPU) - before < 20 * MEBIBYTE


@only_linux
def test_memory_freed_in_small_parts_returns_to_the_system() -> None:
    """Blocks of the heap, which the C library keeps for itself until it is asked."""
    usage.release_memory(CPU)
    usage.reset_peak_memory(CPU)
    before = usage.peak_bytes(CPU)
    parts = [torch.ones(64 * 1024, dtype=torch.uint8) for _ in range(1600)]
    kept = parts[-1]
    del parts
    usage.release_memory(CPU)
    usage.reset_peak_memory(CPU)
    assert usage.peak_bytes(CPU) - before < 20 * MEBIBYTE
    assert kept.sum() == 64 * 1024


@only_linux
def test_the_peak_stays_if_the_system_refuses_a_reset(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    def refusing(*_: object) -> int:
        raise PermissionError("clear_refs")

    monkeypatch.setattr("pathlib.Path.write_text", refusing)
    before = usage.peak_bytes(CPU)
    usage.reset_peak_memory(CPU)
    assert usage.peak_bytes(CPU) >= before > 0


def test_without_proc_the_peak_comes_from_getrusage(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    pytest.importorskip("resource")
    linux = usage.peak_bytes(CPU)
    monkeypatch.setattr(usage, "PROC_STATUS", tmp_path / "status")
    assert usage.peak_bytes(CPU) == pytest.approx(linux, rel=0.5)


def test_utilisation_is_the_arithmetic_of_training_over_that_of_a_matrix_product(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(usage, "matrix_macs_per_second", lambda *_: 6e9)
    # 10 million multiply-adds forward and twice that backward, for 50 images a second.
    assert usage.utilisation(10e6, 50, CPU, "fp32") == pytest.approx(3 * 10e6 * 50 / 6e9)


def test_a_matrix_product_is_measured_once_for_each_format(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usage.matrix_macs_per_second.cache_clear()
    monkeypatch.setattr(usage, "MATRIX_SIDES", {"cpu": 64})
    monkeypatch.setattr(usage, "BENCHMARK_SECONDS", 0.01)
    kinds = []
    whole = torch.mm

    def spying(one: torch.Tensor, other: torch.Tensor, **kwargs: torch.Tensor) -> torch.Tensor:
        kinds.append(one.dtype)
        return whole(one, other, **kwargs)

    monkeypatch.setattr(torch, "mm", spying)
    first = usage.matrix_macs_per_second("cpu", "fp32", 1)
    count = len(kinds)
    assert first == usage.matrix_macs_per_second("cpu", "fp32", 1) > 0
    assert len(kinds) == count
    for precision in ("bf16", "mixed"):
        usage.matrix_macs_per_second("cpu", precision, 1)
    assert set(kinds[:count]) == {torch.float32}
    assert set(kinds[count:]) == {torch.bfloat16}
    usage.matrix_macs_per_second.cache_clear()


def test_one_product_at_least_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    usage.matrix_macs_per_second.cache_clear()
    monkeypatch.setattr(usage, "MATRIX_SIDES", {"cpu": 8})
    monkeypatch.setattr(usage, "BENCHMARK_SECONDS", -1.0)
    assert 0 < usage.matrix_macs_per_second("cpu", "fp32", 1) < float("inf")
    usage.matrix_macs_per_second.cache_clear()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_the_peak_is_the_reserved_memory() -> None:
    cuda = torch.device("cuda")
    torch.cuda.synchronize()  # or there is no allocator yet
    usage.release_memory(cuda)
    usage.reset_peak_memory(cuda)
    before = usage.peak_bytes(cuda)
    block = torch.ones(64 * MEBIBYTE, dtype=torch.uint8, device=cuda)
    assert usage.peak_bytes(cuda) - before == block.nbytes
    del block
    assert usage.peak_bytes(cuda) - before == 64 * MEBIBYTE  # what was is remembered
    usage.release_memory(cuda)
    usage.reset_peak_memory(cuda)
    assert usage.peak_bytes(cuda) == before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_a_graphs_memory_counts_in_each_epoch(job: TrainingJob, dataset: Dataset) -> None:
    recipe = replace(job.recipe, epochs=3, batch_size=64)
    large = replace(job.architecture, resolution=128)
    one = replace(job, recipe=recipe, architecture=large, fingerprint=fingerprint(large))
    many = replace(dataset, train=repeated(dataset.train, 8))
    first, *others = train(one, many, device="cuda")
    for epoch in others:
        assert 0.5 * first.peak_bytes < epoch.peak_bytes < 1.5 * first.peak_bytes


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16", "mixed"])
def test_on_cuda_a_matrix_product_takes_teraflops(precision) -> None:
    assert usage.matrix_macs_per_second("cuda", precision, 1) > 1e11
