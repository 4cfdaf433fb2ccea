"""A person's way: one command from an experiment file to coefficients, a figure and a family."""

import json
import shutil

import pandas as pd
import pytest
import yaml
from PIL import Image
from refusals import refused

from scalesearch.cli import main, printing
from scalesearch.cli.options import WorkerOptions, parse_bytes
from scalesearch.config import reading
from scalesearch.errors import SearchError
from scalesearch.models.fvcore_count import fvcore_macs
from scalesearch.reporting.terminal import search_display as searches
from scalesearch.results.records import COLUMNS, read_records

pytestmark = pytest.mark.filterwarnings(
    "ignore::scalesearch.candidates.iso_cost.StuckAxisWarning",
    "ignore::scalesearch.search.design.OffTargetWarning",
)
DOCUMENT = {
    "name": "tiny",
    "baseline": {"width": 0.25, "depth": 0.3, "resolution": 12, "stem_stride": 1},
    "data": {"source": "digits", "train_samples": 60, "validation_samples": 40, "pixels": 12},
    "budget": {"factor": 2.0, "tolerance": 0.04},
    "recipe": {"epochs": 1, "batch_size": 30},
    "search": {"sampler": "lattice", "step": 2, "seeds": 2, "references": ["uniform", "paper"]},
    "device": "cpu",
}


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    path = tmp_path_factory.mktemp("experiments") / "tiny.yaml"
    path.write_text(yaml.safe_dump(DOCUMENT))
    return path


@pytest.fixture(scope="module")
def experiment_reads():
    """Files of experiments that the search of ``finished`` has read."""
    return []


@pytest.fixture(scope="module")
def finished(experiment, experiment_reads, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "tiny"
    read_document = reading._read_document

    def counted(path, overrides):
        experiment_reads.append(path)
        return read_document(path, overrides)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_read_document", counted)
        with pytest.raises(SystemExit) as stopped:
            main(["search", str(experiment), "--results", str(folder)])
    assert stopped.value.code == 0
    return folder


@pytest.mark.usefixtures("finished")
def test_a_search_reads_its_experiment_once(experiment, experiment_reads):
    assert experiment_reads == [experiment]


def test_a_search_leaves_all_that_is_promised(finished):
    names = {str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file()}
    assert names >= {
        "experiment.yaml", "environment.json", "study.db", "records.csv", "coefficients.json",
        "answer.json", "family.json", "figures/simplex.png", "figures/simplex.svg",
        "figures/workers.png", "jobs.csv", "progress.json",
    }  # fmt: skip
    assert not any((finished / "checkpoints").iterdir())
    assert list(read_records(finished / "records.csv").columns) == list(COLUMNS)


def test_the_coefficients_multiply_to_the_factor_and_carry_their_provenance(finished):
    found = json.loads((finished / "coefficients.json").read_text())
    assert found["alpha"] * found["beta"] ** 2 * found["gamma"] ** 2 == pytest.approx(2.0)
    assert abs(found["realised_factor"] / 2 - 1) <= 0.04
    assert set(found["references"]) == {"uniform", "paper"}
    assert set(found["data"]["fingerprints"]) == {"0", "1"}
    assert found["environment"]["packages"]["torch"]
    assert {"nominal", "effective", "budget", "rounding", "baseline", "recipe", "commit"} < set(
        found
    )


def test_the_family_starts_at_the_baseline_and_doubles(finished):
    members = json.loads((finished / "family.json").read_text())["members"]
    assert [member["name"] for member in members] == [f"b{phi}" for phi in range(8)]
    for member in members:
        assert member["fvcore_macs"] == member["macs"]
        assert member["macs"] / members[0]["macs"] == pytest.approx(2 ** member["phi"], rel=0.021)


def test_the_answer_can_be_the_source_of_a_family(finished, run):
    code, out, _ = run("family", finished / "coefficients.json", "--phi", "0..2", "--json")
    assert code == 0
    assert [member["name"] for member in json.loads(out)["members"]] == ["b0", "b1", "b2"]


def test_the_same_command_trains_nothing_and_prints_one_json_document(finished, experiment, run):
    before = (finished / "records.csv").read_bytes()
    code, out, _ = run("search", experiment, "--results", finished, "--json")
    assert code == 0
    assert json.loads(out)["name"] == "tiny"
    assert (finished / "records.csv").read_bytes() == before


ANSWER = {
    "schema", "version", "name", "sentence", "factor", "epoch", "level", "candidates", "seeds",
    "estimate", "shares", "accuracy", "region", "flat", "deserves", "same_network", "recommended",
    "surface", "comparisons", "power", "notes",
}  # fmt: skip


def test_the_answer_is_told_in_words_and_as_json_also_of_a_moved_copy(finished, tmp_path, run):
    code, out, err = run("summary", finished, "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert set(told) >= ANSWER
    assert told == json.loads((finished / "answer.json").read_text())
    (tmp_path / "moved").mkdir()
    for name in ("experiment.yaml", "environment.json", "records.csv"):
        shutil.copy(finished / name, tmp_path / "moved")
    assert json.loads(run("summary", tmp_path / "moved", "--json")[1]) == told
    code, out, _ = run("summary", finished)
    assert code == 0
    assert out.startswith(told["sentence"])
    if told["estimate"] is None:
        assert "No conclusion yet" in out
    for note in told["notes"]:
        assert note in out


def test_an_answer_is_refused_by_the_name_of_what_is_missing(finished, tmp_path, run_refused):
    (tmp_path / "empty").mkdir()
    run_refused("summary", tmp_path / "empty")
    copy = shutil.copytree(finished, tmp_path / "copy")
    lines = (copy / "records.csv").read_text().splitlines()
    cells = lines[1].split(",")
    cells[lines[0].split(",").index("accuracy")] = "nan"
    (copy / "records.csv").write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")
    run_refused("summary", copy)


def test_status_lists_the_candidates_the_best_first(finished, run):
    code, out, _ = run("status", finished, "--json")
    assert code == 0
    now = json.loads(out)
    accuracies = [row["accuracy"] for row in now["results"]]
    assert accuracies == sorted(accuracies, reverse=True)
    assert now["epochs"] == 2 * len(accuracies)
    code, out, _ = run("status", finished)
    assert code == 0
    assert "uniform" in out


@pytest.mark.slow
def test_every_candidate_is_within_its_tolerance_by_fvcores_count(experiment):
    from scalesearch.config.reading import read_experiment
    from scalesearch.search.design import planned_trials, search_space

    asked = read_experiment(experiment)
    baseline = asked.baseline.build_architecture(in_channels=1, num_classes=10)
    where = search_space(baseline, asked.budget)
    own = fvcore_macs(baseline)
    for candidate in where.candidates[::10]:
        assert abs(fvcore_macs(candidate.architecture) / own / 2 - 1) <= 0.04
    for item in planned_trials(asked.search, where):
        assert abs(fvcore_macs(item.candidate.architecture) / own / 2 - 1) <= 0.04


def test_a_folder_of_another_experiment_is_refused_with_exit_code_2(
    finished, experiment, run_refused
):
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    run_refused("search", experiment, "--results", finished, "--set", "recipe.epochs=2")
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    "change",
    [
        "recipe.epoch=2",
        "search.sampler=latice",
        "baseline.name=efficientnet_b9",
        "budget.tolerance=0.0000001",
        "data.source=imagefolder:nowhere",
        "data.source=digitz",
    ],
)
def test_what_cannot_be_run_exits_2_without_a_traceback_and_writes_nothing(
    experiment, tmp_path, run_refused, change
):
    run_refused("search", experiment, "--results", tmp_path / "r", "--set", change)
    assert not (tmp_path / "r").exists()


def test_a_corrupt_image_is_named_and_exits_2(experiment, tmp_path, run_refused, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for index in range(5):
            Image.new("RGB", (12, 12), (index, 0, 0)).save(tmp_path / f"images/{name}/{index}.png")
    (tmp_path / "images" / "cat" / "3.png").write_text("<html>")
    source = f"data.source=imagefolder:{tmp_path / 'images'}"
    run_refused("search", experiment, "--results", tmp_path / "r", "--set", source)
    assert not (tmp_path / "r").exists()


def test_ctrl_c_exits_130_and_says_how_to_go_on(experiment, tmp_path, run, monkeypatch):
    def interrupted(progress):
        raise KeyboardInterrupt

    monkeypatch.setattr(searches, "search_line", interrupted)
    code, out, err = run("search", experiment, "--results", tmp_path / "r")
    assert (code, out) == (130, "")
    assert f"`scalesearch resume {tmp_path / 'r'}` continues it" in err


def test_a_bug_of_ours_is_not_hidden(finished, monkeypatch):
    monkeypatch.setattr(printing, "print_json", None)
    with pytest.raises(TypeError, match="NoneType"):
        main(["status", str(finished), "--json"])


def test_status_of_a_folder_without_a_search_is_refused(tmp_path, run_refused):
    run_refused("status", tmp_path)


def test_a_dry_run_tells_what_it_would_take_and_writes_nothing(experiment, tmp_path, run):
    command = ("search", experiment, "--results", tmp_path / "r", "--dry-run", "--workers", 2)
    code, out, _ = run(*command, "--json")
    assert code == 0
    told = json.loads(out)
    assert len(told["candidates"]) == 8
    assert told["epochs"] == 16
    assert told["workers"] == 2
    assert 0 < told["seconds"] <= told["device_seconds"]
    assert told["memory_bytes"] > 10**6
    assert told["noise"]["basis"].startswith("a measurement: ")
    assert told["power"]["noise"] == told["noise"]["value"] > 0
    assert told["power"]["two"] < told["power"]["references"]
    code, out, _ = run(*command, "--measure-noise", 0)
    assert code == 0
    assert "16 epochs at most" in out
    assert "estimated from a few steps" in out
    assert "from no run but a guess" in out
    assert "2 seeds show differences of" in out
    assert not (tmp_path / "r").exists()


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


def test_a_search_is_resumed_by_its_folder_alone(copied, run):
    before = (copied / "records.csv").read_bytes()
    code, out, _ = run("resume", copied, "--json")
    assert code == 0
    assert json.loads(out)["name"] == "tiny"
    assert (copied / "records.csv").read_bytes() == before


@pytest.mark.slow
def test_wrong_results_are_thrown_away_told_and_trained_again(finished, copied, run):
    records = read_records(finished / "records.csv")
    name = records["candidate"].iloc[0]
    code, out, _ = run("invalidate", copied, name[:6], "--seed", 1, "--json")
    assert code == 0
    assert [row["candidate"] for row in json.loads(out)["invalidated"]] == [name]
    code, out, _ = run("status", copied)
    assert f"resume with `scalesearch resume {copied}`" in out
    assert run("resume", copied)[0] == 0
    kept = ["candidate", "seed", "epoch", "loss", "accuracy"]
    pd.testing.assert_frame_equal(read_records(copied / "records.csv")[kept], records[kept])


@pytest.mark.slow
def test_a_search_is_extended_and_goes_on_at_once(copied, run, run_refused):
    code, out, _ = run("extend", copied, "--seeds", 3, "--json")
    assert code == 0
    assert json.loads(out)["seeds"] == [0, 1, 2]
    run_refused("extend", copied, "--rungs", "1,x")


@pytest.mark.parametrize(
    "command",
    [
        ("retry",),
        ("invalidate", "zz"),
        ("extend",),
        ("extend", "--seeds", "1"),
        ("resume", "--executor", "slurm"),
        ("resume", "--memory", "lots"),
    ],
)
def test_what_cannot_be_done_to_a_search_exits_2_and_changes_nothing(copied, run_refused, command):
    before = (copied / "records.csv").read_bytes()
    verb, *rest = command
    run_refused(verb, copied, *rest)
    assert (copied / "records.csv").read_bytes() == before


@pytest.mark.parametrize("command", ["resume", "retry", "extend", "invalidate", "dashboard"])
def test_a_folder_without_a_search_is_refused_by_every_verb(tmp_path, run_refused, command):
    run_refused(command, tmp_path, *(["x"] if command == "invalidate" else []))


@pytest.mark.parametrize(
    ("text", "count"),
    [("4GiB", 4 * 2**30), ("500MB", 500 * 10**6), ("1.5g", 1500 * 10**6), ("4096", 4096)],
)
def test_sizes_are_read_as_they_are_written(text, count):
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "GiB", "4iB", "-1GB", "0", "4 GiBs"])
def test_what_is_no_size_is_refused(text):
    with refused(SearchError):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("given", "executor"),
    [
        ({}, "inline"),
        ({"workers": 1}, "inline"),
        ({"workers": 2}, "local"),
        ({"devices": "cuda:0,cuda:1"}, "local"),
        ({"devices": "cuda:1"}, "local"),
        ({"memory": "4GiB"}, "local"),
        ({"scheduler": "tcp://host:8786"}, "dask"),
        ({"executor": "local", "workers": 1}, "local"),
    ],
)
def test_who_trains_follows_from_what_is_said_of_them(given, executor):
    assert WorkerOptions(**given).config.executor_or_default == executor


@pytest.mark.parametrize(("option", "value"), [("--noise-from", "."), ("--measure-noise", "9")])
def test_noise_is_for_a_dry_run(experiment, tmp_path, run_refused, option, value):
    run_refused("search", experiment, option, value, "--results", tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_how_many_are_trained_again_is_for_an_audit_that_trains(tmp_path, run_refused):
    run_refused("check-proxy", tmp_path, "--top", "2")
