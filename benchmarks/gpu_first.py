"""First checks on a GPU: each part takes seconds and writes its facts as lines of JSON.

    python benchmarks/gpu_first.py [PART ...] [--out FOLDER]
    python benchmarks/gpu_first.py --device cpu                tries the script itself

Without parts, all of them run. A part that fails is reported and does not end the others.
"""

import argparse
import json
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import stack
import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile

from scalesearch.architectures.baselines import baseline
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.stages import Architecture
from scalesearch.config.recipe import Augmentation, Recipe
from scalesearch.data.augmentation.draws import epoch_draws
from scalesearch.data.augmentation.geometry import input_transform
from scalesearch.data.batches import training_batches
from scalesearch.data.dataset import Dataset, Split
from scalesearch.models.initialisation import initialise
from scalesearch.models.network import build_model
from scalesearch.training import trainer
from scalesearch.training.cuda_graphs import WARM_UP_STEPS, graphed_step
from scalesearch.training.job import TrainingJob
from scalesearch.training.loop import train, train_together
from scalesearch.training.step import StepInputs, TrainingStep

EVERY_AUGMENTATION = Augmentation(
    crop=0.125, rotation=10, jitter=(0.4, 0.4, 0.4, 0.1), erasing=0.25, mixup=0.2, cutmix=1.0
)
EQUALITY_CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "everything": {
        "ema": 0.99,
        "clip_norm": 1.0,
        "micro_batch": 32,
        "augmentation": EVERY_AUGMENTATION,
        "dropout": 0.2,
        "drop_connect": 0.2,
    },
    "adamw": {"optimizer": "adamw", "learning_rate": 1e-3},
    "rmsprop": {"optimizer": "rmsprop", "learning_rate": 1e-3},
}
SHAPES = ((0.25, 1.0), (0.3, 0.8), (0.35, 0.6), (0.2, 1.5), (0.27, 1.1))
"""(width, depth) of the networks of ``start``."""


@dataclass(frozen=True)
class Bench:
    """A device, and the file that the facts go to."""

    device: torch.device
    path: Path

    @property
    def on_cpu(self) -> bool:
        return self.device.type == "cpu"

    def report(self, part: str, **facts: Any) -> None:
        """Print the facts of a part, and append them to the file."""
        line = json.dumps({"part": part, **facts}, default=str)
        print(line, flush=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def wait(self) -> None:
        """Wait for the device."""
        if not self.on_cpu:
            torch.cuda.synchronize()

    def seconds(self, function: Callable[[], Any], repeats: int = 1) -> float:
        """Return the mean seconds of a call."""
        self.wait()
        started = time.perf_counter()
        for _ in range(repeats):
            function()
        self.wait()
        return (time.perf_counter() - started) / repeats


def env(bench: Bench) -> None:
    """Report versions and the device."""
    bench.report(
        "env",
        torch=torch.__version__,
        cuda=torch.version.cuda,
        cudnn=None if bench.on_cpu else torch.backends.cudnn.version(),
        device="cpu" if bench.on_cpu else torch.cuda.get_device_name(),
        tf32=torch.backends.cudnn.allow_tf32,
    )


def equal(bench: Bench) -> None:
    """Compare runs with and without graphs, with deterministic kernels."""
    network, count = (
        (_network(depth=0.25, resolution=16), 128) if bench.on_cpu else (_network(), 640)
    )
    base = Recipe(epochs=2, batch_size=64, learning_rate=0.02, precision="fp32")
    for name, changes in EQUALITY_CASES.items():
        job, dataset = _job(network, replace(base, **changes)), _dataset(count, network.resolution)
        flags = torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        )
        with flags:  # type: ignore[no-untyped-call]
            with _without_graphs():
                eager = _curve(job, dataset, bench)
            graph = _curve(job, dataset, bench)
        bench.report("equal", case=name, same_bits=eager == graph, eager=eager, graph=graph)


def steps(bench: Bench) -> None:
    """Time a step, eager and as a graph, by width, precision and batch size."""
    for width in (0.25, 1.0):
        for precision in ("fp32",) if bench.on_cpu else ("fp32", "bf16"):
            for batch_size in (8,) if bench.on_cpu else (32, 128, 512):
                recipe = Recipe(batch_size=batch_size, learning_rate=0.01, precision=precision)  # type: ignore[arg-type]
                facts = _time_step(bench, _network(width), recipe)
                bench.report(
                    "steps", width=width, precision=precision, batch_size=batch_size, **facts
                )
                if not bench.on_cpu:
                    torch.cuda.empty_cache()
                    torch.cuda.reset_peak_memory_stats()


def kernels(bench: Bench) -> None:
    """Count and time the kernels of a step."""
    activities = [ProfilerActivity.CPU] + ([] if bench.on_cpu else [ProfilerActivity.CUDA])
    for width, precision in (
        ((0.25, "fp32"),)
        if bench.on_cpu
        else (
            (0.25, "bf16"),
            (0.25, "fp32"),
            (1.0, "bf16"),
        )
    ):
        recipe = Recipe(
            batch_size=4 if bench.on_cpu else 128,
            learning_rate=0.01,
            precision=precision,  # type: ignore[arg-type]
        )
        step, inputs = _step(_network(width), recipe, bench.device)
        for _ in range(3):
            step(inputs)
        with profile(activities=activities) as profiler:
            step(inputs)
            bench.wait()
        counts: dict[str, tuple[int, float]] = {}
        for event in profiler.events() or ():
            is_kernel = (
                event.name.startswith("aten::")
                if bench.on_cpu
                else event.device_type.name == "CUDA"
            )
            if is_kernel:
                count, total = counts.get(event.name[:90], (0, 0.0))
                microseconds = event.cpu_time if bench.on_cpu else event.device_time
                counts[event.name[:90]] = (count + 1, total + microseconds)
        longest = sorted(counts.items(), key=lambda item: -item[1][1])[:15]
        bench.report(
            "kernels",
            width=width,
            precision=precision,
            count=sum(count for count, _ in counts.values()),
            ms=round(sum(total for _, total in counts.values()) / 1e3, 3),
            longest=[(name, count, round(total)) for name, (count, total) in longest],
        )


def together(bench: Bench) -> None:
    """Time several seeds that share the device."""
    step_count = 2 if bench.on_cpu else 100
    for batch_size in (8,) if bench.on_cpu else (32, 128):
        for run_count in (1, 2) if bench.on_cpu else (1, 2, 4, 8):
            recipe = Recipe(
                epochs=1 if bench.on_cpu else 3, batch_size=batch_size, learning_rate=0.01
            )
            dataset = _dataset(batch_size * step_count)
            jobs = [_job(_network(), recipe, seed) for seed in range(run_count)]
            started = time.perf_counter()
            epochs = list(train_together(jobs, [dataset] * run_count, device=bench.device))
            bench.wait()
            last = [epoch for _, epoch in epochs][-run_count:]
            images = run_count * batch_size * step_count
            bench.report(
                "together",
                batch_size=batch_size,
                runs=run_count,
                images_per_second=round(images / sum(epoch.seconds for epoch in last)),
                training_only=round(sum(e.images_per_second for e in last) / run_count),
                wall_s=round(time.perf_counter() - started, 2),
                peak_bytes=last[0].peak_bytes,
                utilisation=last[0].utilisation,
            )


def start(bench: Bench) -> None:
    """Time the first epoch of networks of other shapes in the same process."""
    for width, depth in SHAPES:
        recipe = Recipe(epochs=1, batch_size=32, learning_rate=0.05)
        job, dataset = _job(_network(width, depth), recipe), _dataset(32 if bench.on_cpu else 1500)
        started = time.perf_counter()
        (epoch,) = train(job, dataset, device=bench.device)
        bench.wait()
        bench.report(
            "start",
            width=width,
            depth=depth,
            wall_s=round(time.perf_counter() - started, 3),
            epoch_s=round(epoch.seconds, 3),
            images_per_second=round(epoch.images_per_second),
        )


def stacked(bench: Bench) -> None:
    """Time several seeds as one network (see ``stack.py``)."""
    if bench.on_cpu:
        stack.use_plain_layers()
    for use_products in (False, True):
        for count in (2,) if bench.on_cpu else (1, 4, 16):
            try:
                facts = _time_stacked(bench, count, use_products)
            except Exception as error:
                facts = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
            bench.report("stacked", products=use_products, networks=count, **facts)


PARTS = {part.__name__: part for part in (env, equal, steps, kernels, together, start, stacked)}


def _network(width: float = 0.25, depth: float = 1.0, resolution: int = 32) -> Architecture:
    return baseline(
        "efficientnet_b0",
        width=width,
        depth=depth,
        resolution=resolution,
        stem_stride=1,
        num_classes=10,
    )


def _dataset(count: int, pixels: int = 32, validation_count: int = 256) -> Dataset:
    train_split, validation = (_random_split(n, pixels) for n in (count, validation_count))
    names = tuple("0123456789")
    return Dataset(train_split, validation, names, "random", True, (0.5,) * 3, (0.25,) * 3)


def _random_split(count: int, pixels: int) -> Split:
    generator = torch.Generator().manual_seed(0)
    shape = (count, 3, pixels, pixels)
    images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    return Split(images, torch.randint(0, 10, (count,), generator=generator))


def _job(network: Architecture, recipe: Recipe, seed: int = 0) -> TrainingJob:
    return TrainingJob(
        architecture=network, recipe=recipe, seed=seed, fingerprint=fingerprint(network)
    )


def _step(
    network: Architecture, recipe: Recipe, device: torch.device
) -> tuple[TrainingStep, StepInputs]:
    """Return a step and its inputs."""
    dataset = _dataset(recipe.batch_size, network.resolution)
    run = trainer.start_run(_job(network, recipe), dataset, device)
    run.network.train()
    step = TrainingStep(
        network=run.network,
        unwrapped=run.network,
        optimizer=run.optimizer,
        ema=run.ema,
        scaler=run.scaler,
        recipe=recipe,
        transform=input_transform(dataset, recipe, network.resolution),
        resolution=network.resolution,
        strength=1.0,
        precision=run.precision,
    )
    order = torch.arange(recipe.batch_size)[None]
    draws = epoch_draws(recipe.augmentation, len(dataset.train), 0)
    images, labels, rows = next(training_batches(dataset.train, order, draws, device))
    return step, StepInputs(images, labels, rows, torch.zeros((), device=device))


def _time_step(bench: Bench, network: Architecture, recipe: Recipe) -> dict[str, Any]:
    started = time.perf_counter()
    step, inputs = _step(network, recipe, bench.device)
    bench.wait()
    build_seconds = time.perf_counter() - started
    first_seconds = bench.seconds(lambda: step(inputs))
    eager_seconds = bench.seconds(lambda: step(inputs), 1 if bench.on_cpu else 20)
    graph = graphed_step(step, bench.device)
    record_seconds = bench.seconds(lambda: [graph(inputs) for _ in range(WARM_UP_STEPS + 1)])
    graph_seconds = bench.seconds(lambda: graph(inputs), 1 if bench.on_cpu else 50)
    return {
        "build_s": round(build_seconds, 3),
        "first_step_s": round(first_seconds, 3),
        "warm_up_and_record_s": round(record_seconds, 3),
        "eager_ms": round(eager_seconds * 1e3, 3),
        "graph_ms": round(graph_seconds * 1e3, 3),
        "images_per_second": round(recipe.batch_size / graph_seconds),
        "peak_bytes": None if bench.on_cpu else torch.cuda.max_memory_reserved(),
    }


def _time_stacked(bench: Bench, count: int, use_products: bool) -> dict[str, Any]:
    device, batch_size = bench.device, 4 if bench.on_cpu else 128
    architecture = _network(resolution=16 if bench.on_cpu else 32)
    networks = [build_model(architecture) for _ in range(count)]
    for seed, network in enumerate(networks):
        initialise(network, torch.Generator().manual_seed(seed), "fan_in")
    model = stack.stack_networks(networks, use_products=use_products).to(device)
    model.to(memory_format=torch.channels_last).train()
    rate = 0.01 if bench.on_cpu else torch.tensor(0.01, device=device)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=rate, momentum=0.9, nesterov=True, fused=True
    )
    side = architecture.resolution
    images = torch.randn(batch_size, 3 * count, side, side, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (count * batch_size,), device=device)

    def step() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=not bench.on_cpu):
            logits = model(images).float().reshape(count * batch_size, -1)
            loss = F.cross_entropy(logits, labels) * count
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss.detach()

    first_seconds = bench.seconds(step)
    if bench.on_cpu:
        return {"first_step_s": round(first_seconds, 2), "loss": step().item()}
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    optimizer.zero_grad(set_to_none=True)
    with torch.cuda.graph(graph, stream=stream):
        loss = step()
    seconds = bench.seconds(graph.replay, 30)
    return {
        "first_step_s": round(first_seconds, 2),
        "ms": round(seconds * 1e3, 3),
        "images_per_second": round(count * batch_size / seconds),
        "loss": loss.item(),
    }


def _curve(job: TrainingJob, dataset: Dataset, bench: Bench) -> list[tuple[float, float, float]]:
    epochs = train(job, dataset, device=bench.device)
    return [(epoch.train_loss, epoch.loss, epoch.accuracy) for epoch in epochs]


@contextmanager
def _without_graphs() -> Iterator[None]:
    """Run every step as it is within the block."""
    previous = trainer.graphed_step
    trainer.graphed_step = lambda step, device: step
    try:
        yield
    finally:
        trainer.graphed_step = previous


def main() -> None:
    """Run the parts that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--out", type=Path, default=Path(), help="folder of gpu_first.jsonl")
    options = parser.parse_args()
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"need parts of {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    options.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(torch.device(options.device), options.out / "gpu_first.jsonl")
    warnings.simplefilter("default")
    for name in options.parts or PARTS:
        started = time.perf_counter()
        try:
            PARTS[name](bench)
        except Exception as error:
            where = traceback.format_exc()[-1200:]
            bench.report(name, error=f"{type(error).__name__}: {str(error)[:400]}", at=where)
        bench.report(name, seconds=round(time.perf_counter() - started, 1))


if __name__ == "__main__":
    main()
