"""Small searches and runs on digits, trained when the golden tests run."""

import base64
import gzip
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from golden_commands import done, printed
from golden_compare import keys, shape, table

HERE = Path(__file__).parent
INTERRUPTED = HERE / "interrupted.json"
"""The folder of a search that was killed before the redesign, its files as text."""

SMALL = {
    "stem": 16,
    "stem_stride": 2,
    "head": 32,
    "resolution": 16,
    "num_classes": 10,
    "activation": "silu",
    "stages": [
        {"repeats": 2, "width": 16, "block": "fused_mbconv", "expansion": 1, "squeeze": 0},
        {"repeats": 3, "width": 20, "block": "mbconv", "expansion": 2, "squeeze": 4, "stride": 2},
    ],
}
"""A baseline of five blocks that learns digits in seconds."""


TINY = {
    **SMALL,
    "stem": 8,
    "head": 16,
    "stages": [
        {"repeats": 2, "width": 8, "block": "fused_mbconv", "expansion": 1, "squeeze": 0},
        {"repeats": 2, "width": 12, "block": "mbconv", "expansion": 2, "squeeze": 4, "stride": 2},
    ],
}
"""Another, whose checkpoints can be kept."""


def experiment(
    name: str,
    place: Path,
    epochs: int,
    factor: float,
    network: dict[str, Any] = SMALL,
    **search: Any,
) -> Path:
    """The file of a search among networks of so many times the small baseline's cost: the larger
    the factor, the fewer members has the family along what was found, which take the most time."""
    document = {
        "name": name,
        "baseline": {"name": "small", "network": network},
        "data": {
            "source": "digits",
            "train_samples": 200,
            "validation_samples": 150,
            "pixels": 16,
        },
        "budget": {"factor": factor, "tolerance": 0.08, "rounding": "even"},
        "recipe": {
            "preset": "fast",
            "epochs": epochs,
            "batch_size": 20,
            "learning_rate": 0.1,
            "threads": 1,
        },
        "search": search,
        "device": "cpu",
        "seed": 0,
    }
    path = place / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path


def lattice(place: Path) -> Path:
    """A search of every seed and every epoch on a lattice."""
    return experiment(
        "lattice",
        place,
        2,
        4.0,
        sampler="lattice",
        step=2,
        seeds=2,
        race=None,
        pruner="none",
        references=["depth", "width", "resolution", "uniform", "paper"],
    )


def tuned(place: Path) -> Path:
    """A search with rungs, a race of seeds and TPE's proposals."""
    return experiment("tuned", place, 3, 3.0, trials=6, **TUNED)


def killed(place: Path) -> Path:
    """The same of tiny networks: the search that is killed half way."""
    return experiment("killed", place, 3, 2.0, TINY, trials=8, **TUNED)


TUNED: dict[str, Any] = {
    "sampler": "tpe",
    "seeds": 3,
    "race": 2,
    "rungs": [1, 3],
    "references": ["depth", "width", "resolution"],
}


def searched(folder: Path, place: Path) -> dict[str, Any]:
    """All that a finished search left, and what is said of it."""
    return {
        "records": table(folder / "records.csv"),
        "answer": printed("answer", folder, place=place),
        "status": printed("status", folder, place=place),
        "audit": keys(printed("audit", folder, place=place)),
        "files": {name: each for name, each in shape(folder).items() if _stays(name)},
    }


def _stays(name: str) -> bool:
    """Whether a file is there after every run of a search, however quick the machine was."""
    return not name.startswith(("news/", "logs/", "checkpoints/"))


def lattice_searched(place: Path) -> dict[str, Any]:
    """The search on a lattice, with its report."""
    folder = place / "found"
    said = printed("search", lattice(place), "--results", folder, place=place)
    done("report", folder)
    return {"said": said, **searched(folder, place)}


def tuned_searched(place: Path) -> dict[str, Any]:
    """The search with rungs, race and TPE, and what was proposed."""
    folder = place / "found"
    said = printed("search", tuned(place), "--results", folder, place=place)
    proposals = table(folder / "proposals.csv")
    return {"said": said, "proposals": proposals, **searched(folder, place)}


def changed(place: Path) -> dict[str, Any]:
    """A search of one seed, and then more of it: the commands that go on with a folder."""
    folder = place / "found"
    once: dict[str, Any] = {"sampler": "lattice", "step": 1, "seeds": 1, "pruner": "none"}
    small = experiment("changed", place, 1, 6.0, TINY, references=["paper"], **once)
    done("search", small, "--results", folder)
    first = table(folder / "records.csv")
    candidate = first["rows"][0][first["compared"].index("candidate")]
    said = {"invalidate": printed("invalidate", folder, candidate, place=place)}
    done("resume", folder)
    assert table(folder / "records.csv")["rows"] == first["rows"]
    said["extend"] = printed("extend", folder, "--seeds", 2, place=place)
    records = table(folder / "records.csv")
    said["confirm"] = printed("confirm", folder, "--epochs", 2, "--top", 1, place=place)
    rates = printed("audit", folder, "--learning-rate", "--top", 1, place=place)
    files = {name: each for name, each in shape(folder).items() if _stays(Path(name).name)}
    confirmed = table(folder / "confirm" / "records.csv")
    return {
        "first": first,
        "records": records,
        "confirmed": confirmed,
        **said,
        "audit": keys(rates),
        "files": {name: each for name, each in files.items() if "/" not in name or each},
    }


def factors(place: Path) -> dict[str, Any]:
    """A search for each of two budgets."""
    folder = place / "found"
    once: dict[str, Any] = {"sampler": "lattice", "step": 1, "seeds": 1, "pruner": "none"}
    two = experiment("factors", place, 1, 6.0, TINY, references=[], **once)
    said = printed("search", two, "--set", "budget.factor=[6,8]", "--results", folder, place=place)
    return {"said": said, "factors": shape(folder).get("factors.json")}


def resumed(place: Path) -> dict[str, Any]:
    """The search that was killed before the redesign goes on to the records it would have had."""
    folder = unpacked(place / "killed")
    before = table(folder / "records.csv")
    done("resume", folder)
    return {"before": before, "records": table(folder / "records.csv")}


def packed(folder: Path) -> dict[str, Any]:
    """A folder's files as texts: the study as SQL, what is no text in base 64."""
    files: dict[str, Any] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".db":
            with sqlite3.connect(path) as study:
                files[name] = {"sql": list(study.iterdump())}
            continue
        if path.suffix in (".db-shm", ".db-wal"):
            continue  # a part of the study
        try:
            files[name] = {"text": path.read_text(encoding="utf-8")}
        except UnicodeDecodeError:
            small = gzip.compress(path.read_bytes(), mtime=0)
            files[name] = {"gzip": base64.b64encode(small).decode()}
    return files


def unpacked(folder: Path) -> Path:
    """The folder that was packed into ``INTERRUPTED``."""
    for name, kept in json.loads(INTERRUPTED.read_text(encoding="utf-8")).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if "sql" in kept:
            study = sqlite3.connect(path)
            study.executescript("\n".join(kept["sql"]))
            study.close()
        elif "text" in kept:
            path.write_text(kept["text"], encoding="utf-8")
        else:
            path.write_bytes(gzip.decompress(base64.b64decode(kept["gzip"])))
    return folder


def trained(place: Path) -> dict[str, Any]:
    """A network trained to the end with two seeds, and what is done with it afterwards."""
    small, runs = place / "small.yaml", place / "runs"
    small.write_text(yaml.safe_dump(SMALL), encoding="utf-8")
    data = ("--data", "digits", "--set", "data.pixels=16", "--set", "threads=1")
    size = ("--set", "data.train_samples=200", "--set", "data.validation_samples=150")
    several = printed(
        "train", small, *data, *size, "--set", "epochs=2", "--seeds", 2, "--out", runs, place=place
    )
    network = runs / "seed-0" / "network.safetensors"
    images = _images(place / "images")
    said = {
        "train": keys(several),
        "epochs": table(runs / "seed-0" / "epochs.csv"),
        "predict": printed("predict", network, images, "--csv", place / "p.csv", place=place),
        "predictions": table(place / "p.csv", place),
        "temperature": printed("temperature", network, place=place),
    }
    out = place / "exported"
    forms = "safetensors,timm,python,timm-config"
    exported = printed(
        "export", network, "--format", forms, "--out", out, "--compare", "--rounds", 1, place=place
    )
    said["export"] = [row["format"] for row in exported["files"]]
    said["comparison"] = keys(exported["comparison"])
    (file,) = out.glob("*.timm.safetensors")
    back = ("--as", small, "--out", place / "back.safetensors")
    said["import"] = printed("import", file, *back, place=place)
    return {**said, "runs": shape(runs), "exported": shape(out)}


def _images(folder: Path) -> Path:
    """Four digits as files."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    folder.mkdir()
    for number, image in enumerate(load_digits().images[:4]):
        Image.fromarray((image * 15).astype(np.uint8)).save(folder / f"{number}.png")
    return folder


def measured(place: Path) -> dict[str, Any]:
    """Of commands that measure this machine, the keys of what they say."""
    small = place / "small.yaml"
    small.write_text(yaml.safe_dump(SMALL), encoding="utf-8")
    quick = ("--runs", 1, "--seconds", 0.01, "--batch", 1, "--anyway", "--csv", place / "b.csv")
    model = place / "model.json"
    timed = ("--rounds", 3, "--batch-size", 64)  # a batch whose time depends on the network
    said = {
        "bench": keys(printed("bench", small, *quick, place=place)),
        "calibrate": keys(printed("calibrate", small, *timed, "--out", model, place=place)),
        "doctor": keys(printed("doctor")),
    }
    return {**said, "files": shape(place)}


def ablated(place: Path) -> dict[str, Any]:
    """One of the paper's comparisons on digits."""
    fewer = ("--set", "seeds=1", "--set", "recipe.epochs=1", "--set", "data.train_samples=60")
    said = printed(
        "ablate", "figure3", "--size", "smoke", *fewer, "--results", place / "found", place=place
    )
    files = {name: each for name, each in shape(place / "found").items() if each}
    return {"said": said, "files": files}


CASES: dict[str, Callable[[Path], Any]] = {
    "trained/search-lattice": lattice_searched,
    "trained/search-tuned": tuned_searched,
    "trained/search-changed": changed,
    "trained/search-factors": factors,
    "trained/search-resumed": resumed,
    "trained/run": trained,
    "trained/measured": measured,
    "trained/ablation": ablated,
}
"""Each with a new folder gives a document that is compared with the frozen one."""
