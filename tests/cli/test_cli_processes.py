"""Of several processes the first speaks, and none waits for one that has ended."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest
from refusals import refused

from scalesearch.cli import ERROR_FILE
from scalesearch.errors import SearchError
from scalesearch.training import distributed
from scalesearch.training.distributed import SINGLE_PROCESS, DistributedContext, run_on_main_process

COMMAND = (
    "train", "efficientnet_b0", "--width", "0.25", "--depth", "0.3", "--resolution", "12",
    "--stem-stride", "1", "--data", "digits", "--train-samples", "96", "--device", "cpu",
    "--set", "epochs=1", "--set", "batch_size=32",
)  # fmt: skip


@pytest.fixture
def told(monkeypatch):
    """Make this process the one of a rank, as torchrun would."""

    def by_torchrun(rank, **others):
        where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "9", "WORLD_SIZE": "2"}
        for name, value in {**where, "RANK": rank, "LOCAL_RANK": rank, **others}.items():
            monkeypatch.setenv(name, str(value))

    return by_torchrun


@pytest.fixture
def two(free_port):
    """Exit code, standard output and standard error of two processes of the command."""

    def of(*arguments):
        where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        started = [
            subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "scalesearch", *map(str, arguments)],
                env={**os.environ, **where, "WORLD_SIZE": "2", "RANK": rank, "LOCAL_RANK": rank},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in "01"
        ]
        ended = [(*process.communicate(timeout=300), process.returncode) for process in started]
        return [(code, out, err) for out, err, code in ended]

    return of


@pytest.mark.parametrize(
    ("option", "message"), [("--recipe=fats", "did you mean 'fast'?"), ("--epoch=1", "--epoch")]
)
@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_is_told_by_the_first_process_and_to_torchrun_by_another(
    told, run, tmp_path, rank, option, message
):
    told(rank, **{ERROR_FILE: tmp_path / "error.json"})
    code, out, err = run(*COMMAND, option)
    assert (code, out) == (2, "")
    assert (message in err) is (rank == 0)
    assert (err == "") is (rank == 1)
    assert (tmp_path / "error.json").exists() is (rank == 1)
    if rank == 1:
        assert message in json.loads((tmp_path / "error.json").read_text())["message"]


def test_a_process_that_torchrun_did_not_start_speaks(monkeypatch, run_refused):
    monkeypatch.setenv("RANK", "1")  # as a job of some clusters has it
    run_refused(*COMMAND, "--recipe", "fats")


def test_a_bug_in_any_process_has_a_traceback(told, monkeypatch):
    from scalesearch.api import training_runs
    from scalesearch.cli import main

    told(1)
    monkeypatch.setattr(training_runs, "experiment_start", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(list(COMMAND))


def test_what_only_the_first_process_finds_wrong_ends_both(two, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    first, second = two(*COMMAND, "--out", tmp_path)
    assert first[0] == second[0] == 2
    assert "need an empty folder or one of this run" in first[2]
    assert "Traceback" not in first[2]
    assert second[1:] == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.slow
def test_two_processes_train_seeds_as_one_does(two, tmp_path, run):
    command = (*COMMAND, "--seeds", 2, "--json", "--out")
    first, second = two(*command, tmp_path / "two")
    assert (first[0], second) == (0, (0, "", "")), (first, second)
    assert json.loads(first[1])["seeds"] == [0, 1]
    assert two(*command, tmp_path / "two")[1] == (0, "", "")  # all is there: none waits
    code, _, err = run(*command, tmp_path / "one", "--set", "micro_batch=16")
    assert code == 0, err
    both, one = (pd.read_csv(tmp_path / name / "epochs.csv") for name in ("two", "one"))
    assert list(both["loss"]) == pytest.approx(list(one["loss"]), rel=1e-4)


@pytest.mark.slow
def test_torchrun_reports_what_a_process_died_of(tmp_path):
    """A process that is not the first fails alone."""
    program = tmp_path / "one_fails.py"
    program.write_text(
        "import os\n"
        "from scalesearch.cli import main\n"
        f"command = {list(COMMAND)!r}\n"
        "main([*command, '--recipe', 'fats'] if os.environ['RANK'] == '1' else ['doctor'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         str(program)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "did you mean 'fast'?" in done.stderr


def test_alone_a_process_does_its_work_and_fails_by_itself():
    assert run_on_main_process(lambda: 3, SINGLE_PROCESS) == 3
    with pytest.raises(ZeroDivisionError):
        run_on_main_process(lambda: 1 / 0, SINGLE_PROCESS)


def test_others_do_nothing_and_end_where_the_first_has_failed(monkeypatch):
    other, failures = DistributedContext(1, 2), [0.0, 0.5]
    monkeypatch.setattr(
        distributed, "mean_across_processes", lambda value, processes: failures.pop(0)
    )
    assert run_on_main_process(lambda: pytest.fail("not its work"), other) is None
    with refused(SearchError):
        run_on_main_process(lambda: pytest.fail("not its work"), other)
