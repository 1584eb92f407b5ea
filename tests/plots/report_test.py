"""Runs side by side, as a user has them."""

import html.parser
import pathlib

import matplotlib.image
import pytest

from cb.errors import InputError
from cb.plots.__main__ import main
from cb.plots.curves import fit_distance
from cb.plots.page import Page
from cb.plots.reading import read_run
from tests.commands import run as run_command
from tests.plots.conftest import INTERCEPT
from tests.plots.conftest import SLOPE

FIGURES = {"loss", "error", "accuracy", "learning_rate", "distance"}


class Tables(html.parser.HTMLParser):
    """Reads the cells of a page's tables, and the sources of pictures."""

    def __init__(self, file):
        super().__init__()
        self.rows, self.pictures, self._inside = [], [], False
        self.feed(pathlib.Path(file).read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        self._inside = tag in ("td", "th")
        if tag == "tr":
            self.rows.append([])
        if self._inside:
            self.rows[-1].append("")
        if tag == "img":
            self.pictures.append(dict(attributes)["src"])

    def handle_endtag(self, tag):
        self._inside = False

    def handle_data(self, data):
        if self._inside:
            self.rows[-1][-1] = data


def test_every_figure_is_a_file_and_on_the_page(make_run, tmp_path):
    scores = [("last", "test", "accuracy", 0.875)]
    runs = [
        make_run("one", scores=scores, batch_size=32),
        make_run("two", batch_size=64),
    ]
    output = tmp_path / "plots"
    main([*runs, "--output", str(output)])
    assert {file.stem for file in output.glob("*.png")} == FIGURES
    for file in output.glob("*.png"):
        height, width, _ = matplotlib.image.imread(file).shape
        assert (width, height) == (960, 600)
    page = Tables(output / "index.html")
    assert len(page.pictures) == len(FIGURES)
    assert all(src.startswith("data:image/png") for src in page.pictures)
    one, two = page.rows[1:3]
    assert one[:7] == ["one", "8", "200", "0.125", "92.5", "92.5", "87.5"]
    assert two[0] == "two" and two[6] == ""
    assert one[8:] == ["2", "1"]
    assert page.rows[-1] == ["batch_size", "32", "64"]


def test_the_line_is_fitted_to_the_first_plateau(make_run):
    fit, plateau = fit_distance(read_run(make_run("a")))
    assert fit.intercept == pytest.approx(INTERCEPT)
    assert fit.slope == pytest.approx(SLOPE)
    assert fit.r_squared == pytest.approx(1.0)
    # Rates are known at epochs' ends: at step 100 it is the lower one.
    assert plateau == slice(0, 7)


def test_runs_without_validation_or_distance_are_drawn(make_run, tmp_path):
    path = make_run("a", [(1, 1, "loss", 0.5)])
    main([path, "--output", str(tmp_path / "out"), "--x=step"])
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {"loss.png", "index.html"}


def test_a_run_in_its_first_epoch_is_drawn(make_run, tmp_path):
    rows = [(step, 1, "weight_distance", float(step)) for step in (1, 2, 4)]
    main([make_run("a", rows=rows), f"--output={tmp_path / 'page'}"])
    assert (tmp_path / "page/distance.png").is_file()


def test_what_a_page_shows_is_text_not_markup(tmp_path):
    page = Page("<b>")
    page.table(["a&b"], [["<script>"], [0.123456], [None]])
    page.write(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "<b>" not in text and "<script>&" not in text
    assert Tables(tmp_path / "page.html").rows == [
        ["a&b"],
        ["<script>"],
        ["0.1235"],
        [""],
    ]
    # A table is sorted by the whole number, not by what is shown of it.
    assert 'data-value="0.123456"' in text


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nowhere"], "must be the folder of a run"),
        ([], "required: RUN"),
        (["a", "--x=y"], "invalid choice: 'y'"),
        (["RUN", "--output=/dev/null"], "must be a folder"),
    ],
)
def test_bad_input_is_refused(make_run, tmp_path, arguments, message):
    make_run("RUN", [(1, 1, "loss", 0.5)])
    arguments = [
        str(tmp_path / "RUN") if argument == "RUN" else argument
        for argument in arguments
    ]
    with pytest.raises(InputError, match=message):
        main(arguments)


@pytest.mark.slow
def test_a_command_says_what_is_wrong_in_one_line(tmp_path):
    script = "cb/plots/__main__.py"
    code, _, errors = run_command(script, "nowhere", folder=tmp_path)
    assert code == 2
    assert "must be the folder of a run" in errors and errors.count("\n") == 1
