"""Several processes train one network, and equal one process with smaller micro-batches."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from refusals import refused
from torch import nn

from scalesearch.architectures.baselines import baseline
from scalesearch.config.recipe import Recipe
from scalesearch.errors import SearchError
from scalesearch.models.initialisation import initialise
from scalesearch.models.network import build_model
from scalesearch.training import distributed
from scalesearch.training.distributed import SINGLE_PROCESS, DistributedContext
from scalesearch.training.network_file import read_network, write_network

STEPS = 3
BATCH = 16


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False),
        nn.BatchNorm2d(8, momentum=0.3),
        nn.SiLU(),
        nn.Conv2d(8, 8, 3, groups=8, bias=False),
        nn.Conv2d(8, 6, 1, bias=False),
        nn.BatchNorm2d(6, momentum=0.01),
        nn.Flatten(),
        nn.Linear(6 * 16, 4),
    ).to(memory_format=torch.channels_last)


def trained(processes: DistributedContext, micro_batch: int) -> dict[str, object]:
    """A few steps of gradient descent, written with the parts that the loop is made of."""
    generator = torch.Generator().manual_seed(1)
    net = network()
    running = distributed.wrap_ddp(net, processes)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(STEPS):
        images = torch.rand(BATCH, 3, 8, 8, generator=generator)
        labels = torch.randint(0, 4, (BATCH,), generator=generator)
        own = distributed.rows_of_process(torch.arange(BATCH), processes)
        micro = own.split(micro_batch)
        optimizer.zero_grad()
        total = 0.0
        with distributed.sync_batch_norm_statistics(net, processes, len(micro)):
            for rows in micro:
                with distributed.accumulate_gradients(running, is_last=rows is micro[-1]):
                    loss = F.cross_entropy(running(images[rows]), labels[rows]) / len(micro)
                    loss.backward()
                total += loss.item()
        optimizer.step()
        losses.append(distributed.mean_across_processes(total, processes))
    return {"losses": losses, "state": net.state_dict()}


def run_as_process(folder: str, micro_batch: int) -> None:
    torch.set_num_threads(1)
    with distributed.join_process_group("cpu") as processes:
        torch.save(trained(processes, micro_batch), f"{folder}/{processes.rank}.pt")


def together(size: int, port: int, arguments: list[str]) -> list[str]:
    """What ``size`` processes print, told what torchrun would tell them."""
    told = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "error", *arguments],
            env={**os.environ, **told, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    ended = [(*process.communicate(timeout=300), process.returncode) for process in started]
    assert [code for *_, code in ended] == [0] * size, ended
    assert [err for _, err, _ in ended[1:]] == [""] * (size - 1)
    return [out for out, *_ in ended]


def test_two_processes_equal_one_with_micro_batches(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    alone = trained(SINGLE_PROCESS, 4)
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[1])]  # and of `refusals`
    program = f"import sys; sys.path[:0] = {folders!r}; import test_distributed as t; "
    together(2, free_port(), ["-c", f"{program} t.run_as_process({str(tmp_path)!r}, 4)"])
    both = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for one in both:
        assert one["losses"] == pytest.approx(alone["losses"], rel=1e-5)
        for name, value in alone["state"].items():
            if value.is_floating_point():
                torch.testing.assert_close(one["state"][name], value, rtol=1e-5, atol=1e-6)
    assert both[0]["losses"] == both[1]["losses"]


def test_two_processes_of_the_command_equal_one(
    tmp_path: Path, run: Callable[..., tuple[int, str, str]], free_port: Callable[[], int]
) -> None:
    command = [
        "train", "efficientnet_b0", "--width", "0.25", "--depth", "0.3", "--resolution", "12",
        "--stem-stride", "1", "--data", "digits", "--train-samples", "200", "--device", "cpu",
        "--set", "epochs=2", "--set", "batch_size=32", "--set", "ema=0.9", "--out",
    ]  # fmt: skip
    arguments = ["-m", "scalesearch", *command, str(tmp_path / "two"), "--json"]
    said = together(2, free_port(), arguments)
    assert json.loads(said[0])["processes"] == 2
    assert said[1] == ""
    code, _, err = run(*command, tmp_path / "one", "--set", "micro_batch=16")
    assert code == 0, err
    two, one = (pd.read_csv(tmp_path / name / "epochs.csv") for name in ("two", "one"))
    for column in ("train_loss", "loss", "accuracy", "top5"):
        assert list(two[column]) == pytest.approx(list(one[column]), rel=1e-4), column


@pytest.mark.slow
def test_two_processes_freeze_and_unfreeze_as_one(
    tmp_path: Path, run: Callable[..., tuple[int, str, str]], free_port: Callable[[], int]
) -> None:
    before = build_model(baseline("efficientnet_b0", width=0.25, depth=0.3, stem_stride=1))
    initialise(before, torch.Generator().manual_seed(0))
    path = write_network(tmp_path / "before.safetensors", before)
    command = [
        "train", str(path), "--resolution", "12", "--data", "digits", "--train-samples", "200",
        "--device", "cpu", "--set", "epochs=2", "--set", "batch_size=32", "--set", "ema=0.9",
        "--freeze", "4", "--unfreeze", "2:stage1..2", "--body-rate", "0.5", "--out",
    ]  # fmt: skip
    together(2, free_port(), ["-m", "scalesearch", *command, str(tmp_path / "two")])
    code, _, err = run(*command, tmp_path / "one", "--set", "micro_batch=16")
    assert code == 0, err
    two, one = (pd.read_csv(tmp_path / name / "epochs.csv") for name in ("two", "one"))
    for column in ("train_loss", "loss", "accuracy", "top5"):
        assert list(two[column]) == pytest.approx(list(one[column]), rel=1e-4), column
    still = read_network(tmp_path / "two" / "network.safetensors").network.stages[2:4]
    for tensor, was in zip(
        still.state_dict().values(), before.stages[2:4].state_dict().values(), strict=True
    ):
        assert torch.equal(tensor, was)


def test_without_torchrun_there_is_one_process() -> None:
    with distributed.join_process_group("cpu", {"WORLD_SIZE": "4"}) as processes:
        assert processes == SINGLE_PROCESS
    assert SINGLE_PROCESS.is_main_process
    assert SINGLE_PROCESS.own_device("cuda") == "cuda"
    assert DistributedContext(3, 4, 1).own_device("cuda") == "cuda:1"
    assert DistributedContext(3, 4, 1).own_device("cpu") == "cpu"


def test_a_single_process_wraps_and_divides_nothing() -> None:
    net, rows = network(), torch.arange(5)
    assert distributed.wrap_ddp(net, SINGLE_PROCESS) is net
    assert torch.equal(distributed.rows_of_process(rows, SINGLE_PROCESS), rows)
    assert distributed.mean_across_processes(torch.tensor(0.25), SINGLE_PROCESS) == 0.25
    assert distributed.distributed_recipe(Recipe(), SINGLE_PROCESS) == Recipe()


def test_parts_are_contiguous_and_form_the_batch() -> None:
    parts = [
        distributed.rows_of_process(torch.arange(12), DistributedContext(rank, 3))
        for rank in range(3)
    ]
    assert [part.tolist() for part in parts] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


@pytest.mark.parametrize(("given", "micro"), [(None, 16), (64, 16), (16, 16), (4, 4)])
def test_the_micro_batch_of_a_process_identifies_the_run(given: int | None, micro: int) -> None:
    recipe = Recipe(batch_size=64, micro_batch=given)
    assert distributed.distributed_recipe(recipe, DistributedContext(1, 4)).micro_batch == micro


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(batch_size=64),
        Recipe(batch_size=60, micro_batch=12),
    ],
)
def test_batches_that_cannot_be_divided_are_refused(recipe: Recipe) -> None:
    with refused(SearchError):
        distributed.distributed_recipe(recipe, DistributedContext(0, 3))


def test_a_last_batch_that_cannot_be_divided_is_refused() -> None:
    with refused(SearchError):
        distributed.rows_of_process(torch.arange(7), DistributedContext(0, 2))


def test_a_rank_beyond_the_last_is_refused() -> None:
    with refused(ValueError):
        DistributedContext(2, 2)


def test_unreachable_processes_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise torch.distributed.DistNetworkError("timed out")

    monkeypatch.setattr(torch.distributed, "init_process_group", unreachable)
    told = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}
    told |= {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}
    with (
        refused(SearchError),
        distributed.join_process_group("cpu", told),
    ):
        pass
