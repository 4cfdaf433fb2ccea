import itertools

import pytest
import torch

from scalesearch.deploy.export import format_comparison as module
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


def test_turns_take_every_run_once_a_round(monkeypatch):
    clock = itertools.count(step=1.0)
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    told = []
    seconds = time_in_turn([lambda: told.append("a"), lambda: told.append("b")], rounds=3)
    assert seconds == [[1.0, 1.0]] * 3
    assert told[-6:] == ["a", "b"] * 3


def test_a_short_run_is_repeated_within_its_turn():
    calls = itertools.count()
    time_in_turn([lambda: next(calls)], rounds=1)
    assert next(calls) == 1 + 3 + 100


def test_ratios_are_of_the_same_round(monkeypatch):
    rounds = [[1.0, 0.5], [10.0, 5.0], [2.0, 1.2]]  # a busy machine slows both
    monkeypatch.setattr(module, "time_in_turn", lambda runs, count: rounds)
    form = ExportVariant("eager", lambda images: images)
    eager, other = variant_latencies([form, form], torch.zeros(4, 1), rounds=3)
    assert (eager.batch, eager.milliseconds, eager.ratio) == (4, 2000, 1)
    assert (other.milliseconds, other.ratio) == (1200, 0.5)
    assert other.low == pytest.approx(0.5)
    assert 0.5 < other.high <= 0.6


def test_threads_are_put_back(reader):
    before = torch.get_num_threads()
    variant_latencies(
        export_variants(reader, {}), torch.zeros(1, 1, 16, 16), threads=before + 1, rounds=1
    )
    assert torch.get_num_threads() == before


def test_the_first_form_is_the_measure_of_the_others(reader, digits):
    wrong = ExportVariant("wrong", lambda images: torch.eye(10)[torch.zeros(len(images)).long()])
    eager, folded, zeros = variant_accuracies([*export_variants(reader, {}), wrong], digits)
    assert eager.same == folded.same == 1
    assert eager.accuracy == folded.accuracy > 0.6
    assert zeros.images == len(digits.test)
    assert zeros.accuracy == pytest.approx(float((digits.test.labels == 0).double().mean()))
    assert zeros.same < 0.3


def test_a_comparison_has_a_row_for_every_form_and_batch(reader, digits, tmp_path):
    path = tmp_path / "n.pt2"
    write_program(path, reader)
    files = {"exported": path, "torchvision": tmp_path / "n.pth"}
    rows = compare_exports(reader, files, digits, batch_sizes=(1, 2), rounds=2)
    assert [(row["form"], row["batch"]) for row in rows] == [
        (form, batch) for batch in (1, 2) for form in ("eager", "folded", "exported")
    ]
    assert rows[0]["bytes"] is None
    assert rows[2]["bytes"] == path.stat().st_size
    assert len({row["accuracy"] for row in rows}) == 1


def test_a_network_can_be_timed_without_images(reader):
    assert timing_images(reader, 3, None).shape == (3, 1, 16, 16)
    rows = compare_exports(reader, {}, rounds=1)
    assert [row["accuracy"] for row in rows] == [None, None]
    before = torch_logits(reader.network, torch.ones(1, 1, 16, 16))
    compare_exports(reader, {}, rounds=1)
    torch.testing.assert_close(torch_logits(reader.network, torch.ones(1, 1, 16, 16)), before)


def test_more_images_than_there_are_begin_again(reader, digits):
    count = len(digits.test)
    batch = timing_images(reader, count + 3, digits)
    assert torch.equal(batch[count:], batch[:3])
