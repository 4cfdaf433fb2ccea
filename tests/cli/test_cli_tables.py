import json
import subprocess
import sys

import pytest

from scalesearch.reporting import doctor


@pytest.fixture
def run_json(run):
    def command(*arguments):
        code, out, err = run(*arguments, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return command


def in_process_of_its_own(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300
    )


def test_cost_is_exact_and_whole(run_json):
    found = run_json("cost", "efficientnet_b0")
    assert found["macs"] == 385_814_752
    assert found["params"] == 5_288_548
    assert found["activations"] == 6_748_036


def test_cost_scales_as_the_published_b2(run_json):
    found = run_json("cost", "efficientnet_b0", "--depth", 1.2, "--width", 1.1, "--resolution", 260)
    assert (found["macs"], found["params"]) == (993_561_872, 9_109_994)


def test_cost_takes_the_options_of_a_small_baseline(run_json):
    options = ("--stem-stride", 1, "--num-classes", 10, "--in-channels", 1, "--resolution", 32)
    large = run_json("cost", "efficientnet_b0")
    small = run_json("cost", "efficientnet_b0", *options)
    # 990 classes fewer, each with 1280 weights and a bias; 2 input channels fewer in the stem
    assert large["params"] - small["params"] == 990 * 1281 + 2 * 9 * 32
    nearest = run_json("cost", "efficientnet_b0", "--depth", 1.2, "--rounding", "nearest")
    assert nearest["rounding"] == "nearest"
    assert nearest["macs"] < run_json("cost", "efficientnet_b0", "--depth", 1.2)["macs"]


def test_the_table_is_not_cut_however_narrow_the_terminal(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    code, out, _ = run("cost", "efficientnet_b0")
    assert code == 0
    for text in ("efficientnet_b0", "385,814,752", "5,288,548", "activations"):
        assert text in out


def test_isocost_lists_every_network_of_the_budget(run_json):
    options = ("--width", 0.25, "--resolution", 32, "--stem-stride", 1, "--factor", 2)
    found = run_json("isocost", "efficientnet_b0", *options)
    assert found["count"] == len(found["candidates"]) > 20
    assert all(abs(row["factor"] / 2 - 1) <= 0.02 for row in found["candidates"])
    few = run_json("isocost", "efficientnet_b0", *options, "--limit", 3)
    assert few["count"] == found["count"]
    assert few["candidates"][0] == found["candidates"][0]
    assert few["candidates"][-1] == found["candidates"][-1]
    assert len(few["candidates"]) == 3


def test_isocost_reads_an_experiment_and_options_override_it(run, run_json, tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(
        "name: small\n"
        "baseline: {name: efficientnet_b0, width: 0.25, resolution: 32, stem_stride: 1}\n"
        "budget: {factor: 2.0, tolerance: 0.03}\n"
    )
    found = run_json("isocost", path)
    assert (found["factor"], found["tolerance"]) == (2.0, 0.03)
    assert run_json("isocost", path, "--factor", 1.5)["factor"] == 1.5
    code, out, _ = run("isocost", path, "--limit", 2)
    assert code == 0
    assert f"{found['count']} networks cost 2x +-3.0%" in out


def test_a_stuck_axis_is_told_on_standard_error_alone():
    done = in_process_of_its_own(
        "from scalesearch.cli import main\n"
        "main('isocost efficientnet_b0 --resolution 32 --json'.split())"
    )
    assert done.returncode == 0
    json.loads(done.stdout)
    assert done.stderr.startswith("warning: ")
    assert "stem_stride 1" in done.stderr


def test_family_published_shows_both_counts(run_json):
    found = run_json("family", "published", "--phi", "0..2")
    assert [member["name"] for member in found["members"]] == ["b0", "b1", "b2"]
    keys = {"name", "phi", "depth", "width", "resolution", "macs", "params", "activations"}
    for member in found["members"]:
        assert keys < set(member)
        assert member["fvcore_macs"] == member["macs"]
    assert (found["mode"], found["rounding"]) == ("published", "official")


def test_family_follows_coefficients_from_a_file_and_writes_it(run, tmp_path):
    path = tmp_path / "coefficients.json"
    baseline = {"name": "efficientnet_b0", "width": 0.25, "resolution": 32, "stem_stride": 1}
    path.write_text(json.dumps({"alpha": 1.2, "beta": 1.1, "gamma": 1.15, "baseline": baseline}))
    code, out, err = run("family", path, "--phi", "0,1", "--out", tmp_path / "out")
    assert code == 0
    assert "matched, rounding even" in out
    assert err.count("wrote ") == 2
    written = json.loads((tmp_path / "out" / "family.json").read_text())
    assert written["members"][1]["factor"] == pytest.approx(2, rel=0.02)
    assert (tmp_path / "out" / "family.yaml").is_file()


def test_family_of_the_papers_coefficients_by_another_mode(run_json):
    found = run_json("family", "published", "--mode", "exact", "--phi", "1")
    assert found["members"][0]["depth"] == 1.2
    assert found["factor"] == pytest.approx(1.92, abs=0.01)


def test_doctor_names_what_is_missing_and_what_it_is_for(run, run_json, monkeypatch):
    monkeypatch.setitem(doctor.REQUIRED_PACKAGES, "nosuch", "nothing")
    found = run_json("doctor")
    assert found["missing"] == ["nosuch"]
    assert {row["package"] for row in found["packages"]} > {"torch", "optuna", "fvcore"}
    code, out, _ = run("doctor")
    assert code == 0
    assert "missing  nosuch" in out
    assert "device   " in out


@pytest.mark.parametrize(
    "arguments",
    [
        "cost efficientnet_bo",
        "cost efficientnet_b0 --depth -1",
        "cost efficientnet_b0 --rounding odd",
        "cost efficientnet_b0 --resolution 0",
        "cost efficientnet_b0 --colour red",
        "cost",
        "costs efficientnet_b0",
        "isocost efficientnet_b0 --tolerance 3",
        "isocost efficientnet_b0 --factor 1",
        "isocost efficientnet_b0 --tolerance 1e-9",
        "isocost nowhere.yaml",
        "family nowhere.json",
        "family 1,2",
        "family published --phi 9",
        "family published --phi x",
        "family published --mode best",
        "family 1.2,1.1,1.15 --factor 0",
    ],
)
def test_what_the_user_can_mend_is_one_message_and_exit_2(run_refused, arguments):
    run_refused(*arguments.split())


def test_a_bug_is_a_traceback_and_exit_1():
    done = in_process_of_its_own(
        "import scalesearch.architectures.baselines as a, scalesearch.cli as c\n"
        "a.baseline = lambda name: 1 / 0\n"
        "c.main(['cost', 'efficientnet_b0'])"
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert "ZeroDivisionError" in done.stderr


def test_an_interruption_is_exit_130(run, monkeypatch):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr("scalesearch.architectures.baselines.baseline", interrupted)
    code, _, err = run("cost", "efficientnet_b0")
    assert code == 130
    assert "Traceback" not in err


def test_cost_loads_nothing_heavy():
    done = in_process_of_its_own(
        "import sys, scalesearch.cli as c\n"
        "try: c.main(['cost', 'efficientnet_b0', '--json'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'optuna', 'pandas', 'numpy', 'matplotlib', 'scipy', 'yaml', 'fvcore'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    assert done.stderr.strip() == "[]"
