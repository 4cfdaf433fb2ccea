import itertools

import pytest
import torch

from scalesearch.deploy.export import format_comparison
from scalesearch.deploy.export.format_comparison import (
    ExportVariant,
    compare_exports,
    export_variants,
    time_in_turn,
    timing_images,
    variant_accuracies,
    variant_latencies,
)
from scalesearch.deploy.export.sample_images import torch_logits
from scalesearch.deploy.export.torch_export import write_program


def test_time_in_turn_runs_everything_once_a_round(monkeypatch):
    clock = itertools.count(step=1.0)
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    run_names = []
    seconds = time_in_turn([lambda: run_names.append("a"), lambda: run_names.append("b")], rounds=3)
    assert seconds == [[1.0, 1.0]] * 3
    assert run_names[-6:] == ["a", "b"] * 3


def test_time_in_turn_repeats_short_runs():
    calls = itertools.count()
    time_in_turn([lambda: next(calls)], rounds=1)
    assert next(calls) == 1 + 3 + 100


def test_latency_ratios_compare_times_of_the_same_round(monkeypatch):
    rounds = [[1.0, 0.5], [10.0, 5.0], [2.0, 1.2]]  # a busy machine slows both
    monkeypatch.setattr(format_comparison, "time_in_turn", lambda runs, count: rounds)
    variant = ExportVariant("eager", lambda images: images)
    eager, other = variant_latencies([variant, variant], torch.zeros(4, 1), rounds=3)
    assert (eager.batch, eager.milliseconds, eager.ratio) == (4, 2000, 1)
    assert (other.milliseconds, other.ratio) == (1200, 0.5)
    assert other.low == pytest.approx(0.5)
    assert 0.5 < other.high <= 0.6


def test_variant_latencies_restore_the_number_of_threads(saved_network):
    threads_before = torch.get_num_threads()
    variant_latencies(
        export_variants(saved_network, {}),
        torch.zeros(1, 1, 16, 16),
        threads=threads_before + 1,
        rounds=1,
    )
    assert torch.get_num_threads() == threads_before


def test_variants_are_compared_with_the_first_one(saved_network, digit_images):
    constant_variant = ExportVariant(
        "wrong", lambda images: torch.eye(10)[torch.zeros(len(images)).long()]
    )
    eager, folded, constant = variant_accuracies(
        [*export_variants(saved_network, {}), constant_variant], digit_images
    )
    assert eager.same == folded.same == 1
    assert eager.accuracy == folded.accuracy > 0.6
    assert constant.images == len(digit_images.test)
    assert constant.accuracy == pytest.approx(
        float((digit_images.test.labels == 0).double().mean())
    )
    assert constant.same < 0.3


def test_a_comparison_has_a_row_for_every_variant_and_batch(saved_network, digit_images, tmp_path):
    path = tmp_path / "n.pt2"
    write_program(path, saved_network)
    files = {"exported": path, "torchvision": tmp_path / "n.pth"}
    rows = compare_exports(saved_network, files, digit_images, batch_sizes=(1, 2), rounds=2)
    assert [(row["form"], row["batch"]) for row in rows] == [
        (variant, batch) for batch in (1, 2) for variant in ("eager", "folded", "exported")
    ]
    assert rows[0]["bytes"] is None
    assert rows[2]["bytes"] == path.stat().st_size
    assert len({row["accuracy"] for row in rows}) == 1


def test_a_network_can_be_timed_without_images(saved_network):
    assert timing_images(saved_network, 3, None).shape == (3, 1, 16, 16)
    rows = compare_exports(saved_network, {}, rounds=1)
    assert [row["accuracy"] for row in rows] == [None, None]
    logits_before = torch_logits(saved_network.network, torch.ones(1, 1, 16, 16))
    compare_exports(saved_network, {}, rounds=1)
    torch.testing.assert_close(
        torch_logits(saved_network.network, torch.ones(1, 1, 16, 16)), logits_before
    )


def test_timing_images_repeat_the_test_images(saved_network, digit_images):
    count = len(digit_images.test)
    batch = timing_images(saved_network, count + 3, digit_images)
    assert torch.equal(batch[count:], batch[:3])
