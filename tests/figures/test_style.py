import matplotlib as mpl
from refusals import refused

from scalesearch.errors import ExportError
from scalesearch.figures.style import figure_style, new_figure, write_figure


def drawn():
    with figure_style():
        made = new_figure()
        axes = made.add_subplot()
        axes.plot([0, 1], [0, 1])
        axes.set_xlabel("epoch")
        axes.fill_between([0, 1], [0, 1], hatch="/")  # hatches and clips have ids in SVG
    return made


def test_equal_figures_give_equal_bytes(tmp_path):
    first = write_figure(drawn(), tmp_path / "a" / "figure")
    second = write_figure(drawn(), tmp_path / "b" / "figure")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert b"dc:date" not in first[1].read_bytes()


def test_a_dot_in_the_name_is_no_suffix(tmp_path):
    png, svg = write_figure(drawn(), tmp_path / "b0.5")
    assert (png.name, svg.name) == ("b0.5.png", "b0.5.svg")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in svg.read_bytes()


def test_the_style_ends_with_its_block_and_ignores_what_was_set_before():
    with mpl.rc_context({"font.size": 31, "axes.facecolor": "red"}):
        before = mpl.rcParams.copy()
        with figure_style():
            assert mpl.rcParams["font.size"] < 10
            assert mpl.rcParams["axes.facecolor"] == "white"
        assert mpl.rcParams == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with refused(ExportError):
        write_figure(drawn(), tmp_path / "file" / "figure")
