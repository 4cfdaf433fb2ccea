"""Several seeds of one network: each as a run of its own, and what they say together."""

import json
import re
import shutil
import statistics

import pandas as pd
import pytest
from refusals import refused

from scalesearch.errors import SearchError
from scalesearch.locks import lock_folder
from scalesearch.reporting.terminal import display
from scalesearch.reporting.terminal import display as progress
from scalesearch.results import environment
from scalesearch.training import loop, prepared_run, run_results
from scalesearch.training.several_seeds import MixedSeedsWarning

COMMAND = (
    "train", "efficientnet_b0", "--width", 0.25, "--depth", 0.3, "--resolution", 12,
    "--stem-stride", 1, "--data", "digits", "--train-samples", 100, "--validation-samples", 40,
    "--device", "cpu", "--set", "epochs=2", "--seed", 4,
)  # fmt: skip
SEEDS = (4, 5, 6)
UNTIMED = ["seed", "epoch", "train_loss", "loss", "accuracy", "top5"]


@pytest.fixture(scope="module", autouse=True)
def nobody_commits():
    """Seeds of two commits are warned of, and somebody may commit while the tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "git_commit", lambda: "c0ffee")
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    from scalesearch.cli import main

    folder = tmp_path_factory.mktemp("runs") / "b0"
    with pytest.raises(SystemExit) as stopped:
        main([str(part) for part in (*COMMAND, "--seeds", 3, "--out", folder)])
    assert stopped.value.code == 0
    return folder


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


@pytest.fixture
def nothing_is_trained(monkeypatch):
    monkeypatch.setattr(loop, "_train_next_epochs", None)  # an epoch more would fail


def read(path):
    return json.loads(path.read_text())


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def timeless(folder):
    return pd.read_csv(folder / "epochs.csv")[UNTIMED]


def test_each_seed_leaves_what_a_single_run_leaves(finished, tmp_path, run):
    code, _, err = run(*COMMAND[:-1], 5, "--out", tmp_path / "alone")
    assert code == 0, err
    alone, one = tmp_path / "alone", finished / "seed-5"
    names = {str(path.relative_to(alone)) for path in content(alone)}
    assert {str(path.relative_to(one)) for path in content(one)} == names
    for name in ("metrics.json", "confusion.csv"):
        assert (one / name).read_bytes() == (alone / name).read_bytes()
    assert read(one / "run.json")["asked"] == read(alone / "run.json")["asked"]


def test_the_summary_says_how_good_the_seeds_are_and_where_they_were_trained(finished):
    summary = read(finished / "summary.json")
    runs = [read(finished / f"seed-{seed}" / "run.json") for seed in SEEDS]
    assert [one["seed"] for one in summary["runs"]] == summary["seeds"] == list(SEEDS)
    for part in ("validation", "test"):
        assert [one[part] for one in summary["runs"]] == [one["results"][part] for one in runs]
        for name in ("top1", "top5"):
            values = [one["results"][part][name] for one in runs]
            assert summary[part][name] == {
                "mean": pytest.approx(statistics.fmean(values)),
                "sd": pytest.approx(statistics.stdev(values)),
            }
    assert summary["recipe_name"] == "fast"
    assert summary["asked"]["recipe"]["epochs"] == 2
    assert summary["cost"] == runs[0]["cost"]
    assert summary["environment"] == runs[0]["environment"]
    for one, single in zip(summary["runs"], runs, strict=True):
        assert one["seconds"] == single["results"]["seconds"]
        assert (one["device"], one["commit"]) == ("cpu", single["environment"]["commit"])


def test_the_pace_of_a_seed_is_its_images_over_its_time(finished):
    epochs = pd.read_csv(finished / "epochs.csv")
    for one in read(finished / "summary.json")["runs"]:
        paces = epochs.loc[epochs["seed"] == one["seed"], "images_per_second"]
        assert one["images_per_second"] == pytest.approx(2 / (1 / paces).sum())


def test_the_epochs_of_all_seeds_are_one_table_and_one_figure(finished):
    epochs = pd.read_csv(finished / "epochs.csv", dtype=str)
    for seed, own in epochs.groupby("seed"):
        single = pd.read_csv(finished / f"seed-{seed}" / "epochs.csv", dtype=str)
        pd.testing.assert_frame_equal(own.drop(columns="seed").reset_index(drop=True), single)
    assert list(epochs["seed"]) == ["4", "4", "5", "5", "6", "6"]
    assert (finished / "figures" / "curves.png").stat().st_size > 10_000
    assert (finished / "figures" / "curves.svg").exists()


def test_what_is_printed_is_the_summary_or_its_gist(finished, run, nothing_is_trained):
    before = content(finished)
    code, out, err = run(*COMMAND, "--seeds", 3, "--out", finished)
    assert code == 0, err
    assert re.search(r"3 seeds in \d:\d\d", out)
    assert re.search(r"^test +0\.\d{4} sd 0\.\d{4} +0\.\d{4} sd 0\.\d{4} +\d+$", out, re.MULTILINE)
    assert "6/6 epochs   0:00 left   seed 6" in err
    code, out, _ = run(*COMMAND, "--seeds", 3, "--out", finished, "--json")
    assert code == 0
    assert json.loads(out) == read(finished / "summary.json")
    assert content(finished) == before


def test_seeds_trained_together_are_those_trained_in_turn(finished, tmp_path, run):
    code, _, err = run(*COMMAND, "--seeds", 3, "--together", "--out", tmp_path / "r")
    assert code == 0, err
    pd.testing.assert_frame_equal(timeless(tmp_path / "r"), timeless(finished))
    together, in_turn = (read(folder / "summary.json") for folder in (tmp_path / "r", finished))
    for part in ("validation", "test", "asked", "seeds"):
        assert together[part] == in_turn[part]


@pytest.mark.parametrize(
    ("together", "epochs"),
    [
        ((), 3),
        (("--together",), 1),
        pytest.param((), 1, marks=pytest.mark.slow),
        pytest.param(("--together",), 3, marks=pytest.mark.slow),
    ],
)
def test_seeds_that_were_stopped_go_on_to_the_same_result(
    finished, tmp_path, run, monkeypatch, together, epochs
):
    tell, told = progress.epoch_line, []

    def interrupted(epoch):
        told.append(epoch)
        if len(told) == epochs:
            raise KeyboardInterrupt
        return tell(epoch)

    command = (*COMMAND, "--seeds", 3, *together, "--out", tmp_path / "r")
    with monkeypatch.context() as patch:
        patch.setattr(progress, "epoch_line", interrupted)
        code, out, err = run(*command)
    assert (code, out) == (130, "")
    assert f"the same command continues from {tmp_path / 'r'}" in err
    assert not (tmp_path / "r" / "summary.json").exists()
    code, _, err = run(*command)
    assert code == 0, err
    pd.testing.assert_frame_equal(timeless(tmp_path / "r"), timeless(finished))


def test_folders_that_single_runs_made_are_taken_as_they_are(finished, tmp_path, run, monkeypatch):
    for seed in (4, 6):
        shutil.copytree(finished / f"seed-{seed}", tmp_path / "r" / f"seed-{seed}")
    (tmp_path / "r" / "log.txt").write_text("of a shell script")
    before, advanced, trained = content(tmp_path / "r"), loop._train_next_epochs, []

    def watched(live, device):
        trained.extend(one.job.seed for one in live.values())
        return advanced(live, device)

    monkeypatch.setattr(loop, "_train_next_epochs", watched)
    code, _, err = run(*COMMAND, "--seeds", 3, "--together", "--out", tmp_path / "r")
    assert code == 0, err
    assert trained == [5, 5]
    assert before.items() <= content(tmp_path / "r").items()
    pd.testing.assert_frame_equal(timeless(tmp_path / "r"), timeless(finished))


def test_more_seeds_can_be_added_later(copied, run):
    code, _, err = run(*COMMAND, "--seeds", 4, "--out", copied)
    assert code == 0, err
    assert read(copied / "summary.json")["seeds"] == [4, 5, 6, 7]


def test_a_seed_of_other_settings_is_refused_before_anything_is_trained(
    copied, run_refused, nothing_is_trained
):
    for name in ("seed-4", "seed-5", "summary.json", "epochs.csv", "figures"):
        shutil.rmtree(copied / name, ignore_errors=True)
    run_refused(*COMMAND, "--set", "dropout=0.1", "--seeds", 2, "--out", copied)
    assert not (copied / "seed-4").exists()


def test_folders_of_something_else_are_refused(finished, tmp_path, run_refused):
    run_refused(*COMMAND, "--seeds", 3, "--out", finished / "seed-4")
    run_refused(*COMMAND, "--out", finished)
    (tmp_path / "thesis.tex").write_text("")
    for out in (tmp_path, tmp_path / "thesis.tex"):
        run_refused(*COMMAND, "--seeds", 3, "--out", out)


def test_what_cannot_be_trained_leaves_no_folder(tmp_path, run_refused):
    out = ("--seeds", 2, "--out", tmp_path / "r")
    for settings in (
        ("--train-samples", 99999),
        ("--set", "learning_rate_rule=tuned"),
        ("--seeds", 0),
    ):
        run_refused(*COMMAND, *out, *settings)
        assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("where", [".", "seed-4"])
def test_a_second_run_in_the_same_folder_is_told_of_the_first(copied, run, where):
    with lock_folder(copied / where, "run is training"):
        code, _, err = run(*COMMAND, "--seeds", 3, "--out", copied)
    assert code == 2
    assert "another run is training in this folder" in err


def test_seeds_from_unlike_machines_are_summed_up_with_a_warning(copied, run):
    path = copied / "seed-5" / "run.json"
    document = read(path)
    document["environment"]["commit"] = "0123456789ab"
    path.write_text(json.dumps(document))
    with pytest.warns(
        MixedSeedsWarning, match=r"trained in different environments \(commit: .*, 0123456789ab\)"
    ):
        run_seeds(copied)
    assert read(copied / "summary.json")["runs"][1]["commit"] == "0123456789ab"


def run_seeds(folder):
    """The same seeds by the API, so that warnings are not caught."""
    from scalesearch.config.reading import experiment_from_document
    from scalesearch.training.several_seeds import train_seeds

    asked = read(folder / "summary.json")["asked"]
    return train_seeds(experiment_from_document({**asked, "seed": 4}), folder, seeds=3)


def test_no_seed_is_refused(finished):
    from scalesearch.config.experiment import Experiment
    from scalesearch.training.several_seeds import train_seeds

    with refused(SearchError):
        train_seeds(Experiment(name="x"), finished, seeds=0)


def test_what_is_missing_of_a_finished_run_is_made_again_and_nothing_else(
    copied, run, nothing_is_trained
):
    folder = copied / "seed-5"
    document = read(folder / "run.json")
    document["environment"]["commit"] = "0123456789ab"
    (folder / "run.json").write_text(json.dumps(document))
    weights = (folder / "network.safetensors").stat().st_size
    for name in ("network.safetensors", "figures/confusion.png"):
        (folder / name).unlink()
    code, _, err = run(*COMMAND[:-1], 5, "--out", folder)
    assert code == 0, err
    assert (folder / "network.safetensors").stat().st_size == weights
    assert (folder / "figures" / "confusion.png").exists()
    again = read(folder / "run.json")
    assert again["environment"]["commit"] == "0123456789ab"  # where it was trained
    assert again["results"] == document["results"]


def test_a_finished_run_is_not_evaluated_again(finished, run, nothing_is_trained, monkeypatch):
    monkeypatch.setattr(run_results, "load_test_split", None)
    before = content(finished / "seed-5")
    code, out, _ = run(*COMMAND[:-1], 5, "--out", finished / "seed-5", "--json")
    assert code == 0
    assert json.loads(out) == read(finished / "seed-5" / "run.json")
    assert content(finished / "seed-5") == before


def test_a_table_that_is_no_run_s_is_named(copied, run):
    (copied / "seed-5" / "epochs.csv").write_text("epoch,loss\n1,2.0\n")
    code, _, err = run(*COMMAND, "--seeds", 3, "--out", copied)
    assert code == 2
    assert "seed-5/epochs.csv: not the epochs of a run" in err
    assert "remove it" in err


def test_a_person_is_told_while_images_come(tmp_path, run, monkeypatch):
    monkeypatch.setattr(display, "SHOW_AFTER_SECONDS", 0)
    loaded = prepared_run.load_dataset

    def slow(*args, **options):
        options["progress"](1, 4)
        return loaded(*args, **options)

    monkeypatch.setattr(prepared_run, "load_dataset", slow)
    code, _, err = run(*COMMAND, "--out", tmp_path / "r")
    assert code == 0
    assert err.startswith("getting images   25%\n")
