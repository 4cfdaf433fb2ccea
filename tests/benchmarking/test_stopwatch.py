"""The stopwatch runs; how fast is the machine's affair, and no test's."""

import pytest
import torch

from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.stages import Architecture, Stage
from scalesearch.benchmarking.forward_passes import device_name
from scalesearch.benchmarking.latency_fit import measure_latencies
from scalesearch.errors import ArchitectureError

TINY = Architecture(stem=8, stages=(Stage(1, 8),), head=16, resolution=8, num_classes=4)


def test_a_network_takes_some_time():
    assert 0 < measure_latencies([TINY], rounds=2)[0] < 60


def test_the_callers_threads_are_put_back():
    before = torch.get_num_threads()
    measure_latencies([TINY], threads=before + 1, rounds=1)
    assert torch.get_num_threads() == before


def test_networks_are_measured_in_turn_and_the_median_is_told(monkeypatch):
    turns = []
    clock = iter([1, 10, 3, 30, 2, 900])

    def passed(run, device):
        network, (images_BCHW,) = run.func, run.args
        turns.append((network.architecture, tuple(images_BCHW.shape)))
        assert not network.training
        assert torch.is_inference_mode_enabled()
        assert images_BCHW.is_contiguous(memory_format=torch.channels_last)
        return float(next(clock))

    monkeypatch.setattr("scalesearch.models.stopwatch.time_run", passed)
    other = Architecture(stem=8, stages=(Stage(1, 8),), head=16, resolution=12, num_classes=4)
    assert measure_latencies([TINY, other], batch_size=2, rounds=3) == [2, 30]
    assert turns == 3 * [(TINY, (2, 3, 8, 8)), (other, (2, 3, 12, 12))]


@pytest.mark.parametrize(
    ("asks", "message"),
    [
        ({"rounds": 0}, "rounds: need at least 1, got 0"),
        ({"batch_size": 0}, "batch_size: need at least 1, got 0"),
        ({"threads": -1}, "threads: need at least 1, got -1"),
        ({"device": "tpu"}, "device: need cpu or cuda, got 'tpu'"),
        ({"device": "meta"}, "device: need cpu or cuda, got 'meta'"),
        ({"device": "cuda:99"}, "device: 'cuda:99' was asked for, and torch sees"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_name(asks, message):
    with pytest.raises(ArchitectureError, match=message):
        measure_latencies([efficientnet_b0()], **asks)


@pytest.mark.gpu
def test_a_gpu_is_waited_for_and_named():
    assert measure_latencies([TINY], device="cuda", rounds=2)[0] > 0
    assert device_name("cuda").startswith("cuda: ")
