"""The report has everything about a search, is self-contained, and escapes the user's text."""

import html
import json
import re

import pandas as pd
import pytest
from refusals import refused

from scalesearch.errors import ScaleSearchError, SearchError
from scalesearch.reporting.folder_conclusion import conclusion_of_folder
from scalesearch.reporting.page import write_report
from scalesearch.reporting.report_data import read_report_data
from scalesearch.reporting.report_figures import write_report_figures
from scalesearch.reporting.report_prose import PAPER_BIBTEX, ProvenanceLine, provenance_lines

pytestmark = pytest.mark.slow


def page_and_markdown(folder):
    return (folder / "report.html").read_text(), (folder / "report.md").read_text()


def test_the_conclusion_is_in_page_and_markdown(report_folder):
    conclusion, (page, text) = conclusion_of_folder(report_folder), page_and_markdown(report_folder)
    assert html.escape(conclusion.sentence, quote=False) in html.unescape(page).replace(
        "&", "&amp;"
    )
    for name, interval in conclusion.optimum.coefficient_intervals.items():
        for form in (page, text):
            assert name in form
            for value in (interval.value, interval.low, interval.high):
                assert f"{value:.3f}" in form
    assert conclusion.recommended.candidate[:8] in page
    for one in conclusion.comparisons:
        assert f">{100 * one.difference:+.2f}<" in page
        assert f"| {100 * one.difference:+.2f} |" in text


def test_the_page_is_small_and_self_contained(report_folder):
    page, _ = page_and_markdown(report_folder)
    assert (report_folder / "report.html").stat().st_size < 2_000_000
    sources = re.findall(r'(?:src|href)="([^"#][^"]*)"', page)
    assert len(sources) >= 6
    assert all(source.startswith("data:") for source in sources)
    assert "default-src 'none'" in page
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_the_markdown_links_existing_figures(report_folder):
    _, text = page_and_markdown(report_folder)
    linked = set(re.findall(r"!\[[^\n]*?\]\(figures/(\w+)\.png\)", text))
    assert linked == {
        "surface", "intervals", "rungs", "agreement", "pareto", "realised", "workers"
    }  # fmt: skip
    for name in linked:
        assert (report_folder / "figures" / f"{name}.png").is_file()
        assert (report_folder / "figures" / f"{name}.svg").is_file()


def test_a_markdown_table_has_as_many_cells_in_every_row(report_folder):
    _, text = page_and_markdown(report_folder)
    tables = re.findall(r"(?:^\|.*\n)+", text, re.M)
    assert len(tables) >= 6
    for table in tables:
        lines = table.strip().split("\n")
        assert re.fullmatch(r"(\| -+:? )+\| ?", lines[1])
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


def test_all_candidates_are_listed_with_reasons(report_folder):
    page, text = page_and_markdown(report_folder)
    for number in range(17):
        assert f"{number:02d}c0ffee" in page
        assert f"{number:02d}c0ffee" in text
    assert page.count("halved at epoch 1: place 9 of 15</td>") == 2
    assert "out of memory: 1" in page


def test_the_report_has_provenance_method_commands_and_citations(report_folder):
    page, text = page_and_markdown(report_folder)
    for form in (page, text):
        told_words = html.unescape(form).replace("\\", "")
        for words in (
            "abcdef123456", "A Processor", "torch 2.13.0", "0: f0, 1: f1, 2: f2",
            "by 2 worker processes", "2:30", "scalesearch search experiment.yaml",
            "scalesearch report told", "900 images of digits", "successive halving",
            "Accuracy is fitted",
        ):  # fmt: skip
            assert words in told_words, words
        assert PAPER_BIBTEX in html.unescape(form)
        assert "@software{scalesearch" in form
    assert "learning_rate_rule" in page  # the experiment with its defaults


def test_a_moved_copy_gives_the_same_report(report_folder, copied_folder):
    write_report(copied_folder)
    assert page_and_markdown(copied_folder) == page_and_markdown(report_folder)


def test_columns_that_older_tables_lack_are_not_needed(copied_folder, without_figures):
    records = pd.read_csv(copied_folder / "records.csv", dtype=str)
    added = ["cell", "stopped", "top5", "learning_rate", "micro_batch", "tuning_seconds",
             "peak_bytes", "utilisation"]  # fmt: skip
    records.drop(columns=added).to_csv(copied_folder / "records.csv", index=False)
    (copied_folder / "jobs.csv").unlink()
    (copied_folder / "failures.json").unlink()
    environment = json.loads((copied_folder / "environment.json").read_text())
    old = {name: environment[name] for name in ("device", "commit")}
    data = {name: environment["data"][name] for name in ("source", "channels", "classes")}
    (copied_folder / "environment.json").write_text(json.dumps(old | {"data": data}))
    write_report(copied_folder)
    page, _ = page_and_markdown(copied_folder)
    assert "wall time</dt><dd>not on record" in page
    assert "Failures by kind" not in page


def test_text_of_users_is_escaped(copied_folder, without_figures):
    evil = "</script><img src=x onerror=alert(1)>"
    failures = json.loads((copied_folder / "failures.json").read_text())
    failures[0]["reason"] = evil
    (copied_folder / "failures.json").write_text(json.dumps(failures))
    environment = json.loads((copied_folder / "environment.json").read_text())
    environment["data"]["source"] = environment["processor"] = evil
    (copied_folder / "environment.json").write_text(json.dumps(environment))
    records = pd.read_csv(copied_folder / "records.csv", dtype=str, keep_default_na=False)
    records["role"] = records["role"].replace("uniform", evil)
    records["device"] = evil
    records.loc[records["stopped"] != "", "stopped"] = evil
    records.to_csv(copied_folder / "records.csv", index=False)
    write_report(copied_folder)
    page, text = page_and_markdown(copied_folder)
    assert "<img src=x" not in page
    assert page.count("</script>") == 2
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert not re.search(r"(?<!\\)<img", text.partition("```")[0])


def test_a_report_of_too_few_candidates_has_no_intervals(searched, tmp_path):
    places = [((0.5, 0.25, 0.25), "searched"), ((0.25, 0.5, 0.25), "searched+width")]
    folder = searched(tmp_path / "few", places=places)
    write_report(folder)
    page, text = page_and_markdown(folder)
    for form in (page, text):
        assert conclusion_of_folder(folder).sentence in html.unescape(form).replace("\\", "")
        assert "No surface could be fitted" in form
        assert "interval |" not in form
    assert 'id="coefficients"' not in page
    assert not (folder / "figures" / "surface.png").exists()
    assert (folder / "figures" / "simplex.png").exists()
    assert page.count('class="mark') >= 2


def test_a_report_of_one_seed_and_one_epoch_leaves_tables_out(searched, tmp_path):
    asked = {"recipe": {"epochs": 1}, "search": {"step": 4, "seeds": 1}}
    folder = searched(tmp_path / "one", asked, seeds=1, last=1, stopped=0)
    write_report(folder)
    page, _ = page_and_markdown(folder)
    assert not (folder / "figures" / "agreement.png").exists()
    assert "Does short training rank like long training?" not in page
    assert "one seed" in page
    assert '<td class="number">-</td>' in page  # a standard error that nobody knows


def test_a_custom_baseline_is_reported_without_its_code(searched, tmp_path, without_figures):
    asked = {"baseline": {"name": "experiments.baselines.plain_cnn:factory", "resolution": 32}}
    folder = searched(tmp_path / "code of mine", asked)
    write_report(folder)
    assert "The baseline is experiments.baselines.plain_cnn:factory" in page_and_markdown(folder)[0]
    commands = page_and_markdown(folder)[1].partition("## How to reproduce it")[2].split("```")[1]
    assert "experiment.yaml --results results/told-again --allow-code" in commands
    assert "scalesearch report 'code of mine'" in commands
    assert read_report_data(folder).baseline_cost is None
    assert "pareto" not in [
        one.name for one in write_report_figures(read_report_data(folder), tmp_path / "f")
    ]


def test_correlations_with_other_searches_are_listed(copied_folder, without_figures):
    row = {"one": "told", "other": "results/half-the-images", "candidates": 15, "seeds": 3}
    for name, value in (("spearman", 0.8), ("kendall", 0.6), ("across", None)):
        row |= {name: value, f"{name}_low": 0.5, f"{name}_high": 0.9}
    (copied_folder / "audit.json").write_text(json.dumps({"beside": [row]}))
    write_report(copied_folder)
    assert "half-the-images</td>" in page_and_markdown(copied_folder)[0]
    assert "0.80 [0.50, 0.90]" in page_and_markdown(copied_folder)[0]
    (copied_folder / "audit.json").write_text("{")
    with pytest.warns(UserWarning, match=r"audit\.json: cannot be read"):
        write_report(copied_folder)


def test_replications_are_listed(copied_folder, without_figures):
    row = {
        "candidate": "07c0ffee00000000", "cell": "best 1", "role": "searched", "before": 0.63,
        "place_before": 1, "accuracy": 0.71, "standard_error": 0.01, "place": 2, "seeds": 3,
        "behind": 0.02, "behind_low": -0.01, "behind_high": 0.05, "p": 0.2, "may_win": True,
    }  # fmt: skip
    first = row | {"candidate": "08c0ffee00000000", "place": 1, "standard_error": None}
    first |= {"behind": None, "behind_low": None, "behind_high": None}
    again = {"sentence": "after 9 epochs: it holds", "candidates": [first, row]}
    confirmation = again | {"epochs": {"search": 3, "confirmation": 9}}
    (copied_folder / "confirm.json").write_text(json.dumps(confirmation))
    faster = again | {"what": "learning rate x2", "sentence": "it does not hold"}
    (copied_folder / "audit.json").write_text(json.dumps({"beside": [], "sensitivity": [faster]}))
    write_report(copied_folder)
    for form in page_and_markdown(copied_folder):
        told_words = form.replace("\\", "")
        assert "Trained again: 9 epochs in place of 3" in told_words
        assert "after 9 epochs: it holds." in told_words
        assert "Trained again: learning rate x2" in told_words
        assert "2.00 [-1.00, 5.00]" in told_words


def test_the_power_of_the_search_is_reported(report_folder):
    page, _ = page_and_markdown(report_folder)
    known = conclusion_of_folder(report_folder).power
    assert f"{100 * known.noise:.2f} points of accuracy" in page
    assert 'id="table-surfaces"' in page


def test_a_broken_log_of_jobs_gives_a_warning(copied_folder):
    (copied_folder / "jobs.csv").write_text("torn")
    with pytest.warns(UserWarning, match=r"jobs\.csv: cannot be read"):
        report = read_report_data(copied_folder)
    assert report.jobs is None
    assert ProvenanceLine("wall time", "not on record") in list(provenance_lines(report))


@pytest.mark.parametrize("missing", ["records.csv", "environment.json", "experiment.yaml"])
def test_a_folder_that_lacks_a_file_is_refused_by_the_files_name(copied_folder, missing):
    (copied_folder / missing).unlink()
    with refused(ScaleSearchError):
        write_report(copied_folder)


def test_a_search_of_listed_points_is_refused(searched, tmp_path):
    points = [{"name": "one", "depth": 1.0, "width": 1.0, "resolution": 1.0}]
    asked = {"search": {"sampler": "points", "points": points, "references": [], "seeds": 2,
                        "pruner": "none", "race": None}}  # fmt: skip
    folder = searched(tmp_path / "points", asked)
    with refused(SearchError):
        write_report(folder)


def test_the_command_prints_the_path_of_the_page(copied_folder, without_figures, run):
    code, out, _ = run("report", copied_folder)
    assert code == 0
    assert out == f"{copied_folder}/report.html   report.md   figures/\n"
    (copied_folder / "records.csv").unlink()
    code, _, err = run("report", copied_folder)
    assert (code, "records.csv" in err) == (2, True)
