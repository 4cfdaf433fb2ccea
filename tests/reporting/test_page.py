"""A page has everything about a search, needs nothing else, and believes nobody's markup."""

import html
import json
import re

import pandas as pd
import pytest

from scalesearch.errors import SearchError
from scalesearch.reporting.folder_conclusion import conclusion_of_folder
from scalesearch.reporting.page import write_report
from scalesearch.reporting.report_data import read_report_data
from scalesearch.reporting.report_figures import write_report_figures
from scalesearch.reporting.report_prose import PAPER_BIBTEX, ProvenanceLine, provenance_lines

pytestmark = pytest.mark.slow


def both(folder):
    return (folder / "report.html").read_text(), (folder / "report.md").read_text()


def test_the_answer_and_its_numbers_are_in_both_forms(told):
    said, (page, text) = conclusion_of_folder(told), both(told)
    assert html.escape(said.sentence, quote=False) in html.unescape(page).replace("&", "&amp;")
    for name, interval in said.optimum.coefficient_intervals.items():
        for form in (page, text):
            assert name in form
            for value in (interval.value, interval.low, interval.high):
                assert f"{value:.3f}" in form
    assert said.recommended.candidate[:8] in page
    for one in said.comparisons:
        assert f">{100 * one.difference:+.2f}<" in page
        assert f"| {100 * one.difference:+.2f} |" in text


def test_the_page_is_one_small_file_that_asks_for_nothing(told):
    page, _ = both(told)
    assert (told / "report.html").stat().st_size < 2_000_000
    sources = re.findall(r'(?:src|href)="([^"#][^"]*)"', page)
    assert len(sources) >= 6
    assert all(source.startswith("data:") for source in sources)
    assert "default-src 'none'" in page
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_the_markdown_shows_the_figures_that_are_there(told):
    _, text = both(told)
    linked = set(re.findall(r"!\[[^\n]*?\]\(figures/(\w+)\.png\)", text))
    assert linked == {
        "surface", "intervals", "rungs", "agreement", "pareto", "realised", "workers"
    }  # fmt: skip
    for name in linked:
        assert (told / "figures" / f"{name}.png").is_file()
        assert (told / "figures" / f"{name}.svg").is_file()


def test_a_markdown_table_has_as_many_cells_in_every_row(told):
    _, text = both(told)
    tables = re.findall(r"(?:^\|.*\n)+", text, re.M)
    assert len(tables) >= 6
    for table in tables:
        lines = table.strip().split("\n")
        assert re.fullmatch(r"(\| -+:? )+\| ?", lines[1])
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


def test_every_candidate_and_who_was_stopped_or_failed_is_told_with_the_reason(told):
    page, text = both(told)
    for number in range(17):
        assert f"{number:02d}c0ffee" in page
        assert f"{number:02d}c0ffee" in text
    assert page.count("halved at epoch 1: place 9 of 15</td>") == 2
    assert "out of memory: 1" in page


def test_provenance_method_and_how_to_repeat_and_cite_it_are_told(told):
    page, text = both(told)
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


def test_a_moved_copy_gives_the_same_report(told, copied):
    write_report(copied)
    assert both(copied) == both(told)


def test_columns_that_older_tables_lack_are_not_needed(copied, undrawn):
    records = pd.read_csv(copied / "records.csv", dtype=str)
    added = ["cell", "stopped", "top5", "learning_rate", "micro_batch", "tuning_seconds",
             "peak_bytes", "utilisation"]  # fmt: skip
    records.drop(columns=added).to_csv(copied / "records.csv", index=False)
    (copied / "jobs.csv").unlink()
    (copied / "failures.json").unlink()
    environment = json.loads((copied / "environment.json").read_text())
    old = {name: environment[name] for name in ("device", "commit")}
    data = {name: environment["data"][name] for name in ("source", "channels", "classes")}
    (copied / "environment.json").write_text(json.dumps(old | {"data": data}))
    write_report(copied)
    page, _ = both(copied)
    assert "wall time</dt><dd>not on record" in page
    assert "Failures by kind" not in page


def test_what_people_wrote_is_never_markup(copied, undrawn):
    evil = "</script><img src=x onerror=alert(1)>"
    failures = json.loads((copied / "failures.json").read_text())
    failures[0]["reason"] = evil
    (copied / "failures.json").write_text(json.dumps(failures))
    environment = json.loads((copied / "environment.json").read_text())
    environment["data"]["source"] = environment["processor"] = evil
    (copied / "environment.json").write_text(json.dumps(environment))
    records = pd.read_csv(copied / "records.csv", dtype=str, keep_default_na=False)
    records["role"] = records["role"].replace("uniform", evil)
    records["device"] = evil
    records.loc[records["stopped"] != "", "stopped"] = evil
    records.to_csv(copied / "records.csv", index=False)
    write_report(copied)
    page, text = both(copied)
    assert "<img src=x" not in page
    assert page.count("</script>") == 2
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert not re.search(r"(?<!\\)<img", text.partition("```")[0])


def test_too_few_candidates_are_told_in_words_and_not_in_numbers(searched, tmp_path):
    places = [((0.5, 0.25, 0.25), "searched"), ((0.25, 0.5, 0.25), "searched+width")]
    folder = searched(tmp_path / "few", places=places)
    write_report(folder)
    page, text = both(folder)
    for form in (page, text):
        assert conclusion_of_folder(folder).sentence in html.unescape(form).replace("\\", "")
        assert "No surface could be fitted" in form
        assert "interval |" not in form
    assert 'id="coefficients"' not in page
    assert not (folder / "figures" / "surface.png").exists()
    assert (folder / "figures" / "simplex.png").exists()
    assert page.count('class="mark') >= 2


def test_one_seed_and_one_epoch_leave_out_what_they_cannot_tell(searched, tmp_path):
    asked = {"recipe": {"epochs": 1}, "search": {"step": 4, "seeds": 1}}
    folder = searched(tmp_path / "one", asked, seeds=1, last=1, stopped=0)
    write_report(folder)
    page, _ = both(folder)
    assert not (folder / "figures" / "agreement.png").exists()
    assert "Does short training rank like long training?" not in page
    assert "one seed" in page
    assert '<td class="number">-</td>' in page  # a standard error that nobody knows


def test_a_baseline_of_code_needs_no_code_to_be_run(searched, tmp_path, undrawn):
    asked = {"baseline": {"name": "experiments.baselines.plain_cnn:factory", "resolution": 32}}
    folder = searched(tmp_path / "code of mine", asked)
    write_report(folder)
    assert "The baseline is experiments.baselines.plain_cnn:factory" in both(folder)[0]
    commands = both(folder)[1].partition("## How to reproduce it")[2].split("```")[1]
    assert "experiment.yaml --results results/told-again --allow-code" in commands
    assert "scalesearch report 'code of mine'" in commands
    assert read_report_data(folder).baseline_cost is None
    assert "pareto" not in [
        one.name for one in write_report_figures(read_report_data(folder), tmp_path / "f")
    ]


def test_an_audit_beside_other_searches_is_listed(copied, undrawn):
    row = {"one": "told", "other": "results/half-the-images", "candidates": 15, "seeds": 3}
    for name, value in (("spearman", 0.8), ("kendall", 0.6), ("across", None)):
        row |= {name: value, f"{name}_low": 0.5, f"{name}_high": 0.9}
    (copied / "audit.json").write_text(json.dumps({"beside": [row]}))
    write_report(copied)
    assert "half-the-images</td>" in both(copied)[0]
    assert "0.80 [0.50, 0.90]" in both(copied)[0]
    (copied / "audit.json").write_text("{")
    with pytest.warns(UserWarning, match=r"audit\.json: cannot be read"):
        write_report(copied)


def test_what_was_trained_again_is_listed(copied, undrawn):
    row = {
        "candidate": "07c0ffee00000000", "cell": "best 1", "role": "searched", "before": 0.63,
        "place_before": 1, "accuracy": 0.71, "standard_error": 0.01, "place": 2, "seeds": 3,
        "behind": 0.02, "behind_low": -0.01, "behind_high": 0.05, "p": 0.2, "may_win": True,
    }  # fmt: skip
    first = row | {"candidate": "08c0ffee00000000", "place": 1, "standard_error": None}
    first |= {"behind": None, "behind_low": None, "behind_high": None}
    again = {"sentence": "after 9 epochs: it holds", "candidates": [first, row]}
    confirmation = again | {"epochs": {"search": 3, "confirmation": 9}}
    (copied / "confirm.json").write_text(json.dumps(confirmation))
    faster = again | {"what": "learning rate x2", "sentence": "it does not hold"}
    (copied / "audit.json").write_text(json.dumps({"beside": [], "sensitivity": [faster]}))
    write_report(copied)
    for form in both(copied):
        told_words = form.replace("\\", "")
        assert "Trained again: 9 epochs in place of 3" in told_words
        assert "after 9 epochs: it holds." in told_words
        assert "Trained again: learning rate x2" in told_words
        assert "2.00 [-1.00, 5.00]" in told_words


def test_what_a_search_could_show_is_told(told):
    page, _ = both(told)
    known = conclusion_of_folder(told).power
    assert f"{100 * known.noise:.2f} points of accuracy" in page
    assert 'id="table-surfaces"' in page


def test_a_torn_log_of_jobs_is_warned_of_and_left_out(copied):
    (copied / "jobs.csv").write_text("torn")
    with pytest.warns(UserWarning, match=r"jobs\.csv: cannot be read"):
        facts = read_report_data(copied)
    assert facts.jobs is None
    assert ProvenanceLine("wall time", "not on record") in list(provenance_lines(facts))


@pytest.mark.parametrize("missing", ["records.csv", "environment.json", "experiment.yaml"])
def test_a_folder_that_lacks_a_file_is_refused_by_the_files_name(copied, missing):
    (copied / missing).unlink()
    with pytest.raises(Exception, match=missing):
        write_report(copied)


def test_points_that_were_listed_one_by_one_are_refused(searched, tmp_path):
    points = [{"name": "one", "depth": 1.0, "width": 1.0, "resolution": 1.0}]
    asked = {"search": {"sampler": "points", "points": points, "references": [], "seeds": 2,
                        "pruner": "none", "race": None}}  # fmt: skip
    folder = searched(tmp_path / "points", asked)
    with pytest.raises(SearchError, match="need a search over one budget"):
        write_report(folder)


def test_the_command_says_where_the_page_is(copied, undrawn, run):
    code, out, _ = run("report", copied)
    assert code == 0
    assert out == f"{copied}/report.html   report.md   figures/\n"
    (copied / "records.csv").unlink()
    code, _, err = run("report", copied)
    assert (code, "records.csv" in err) == (2, True)
