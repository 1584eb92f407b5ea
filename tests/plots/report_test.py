"""Runs side by side, as a user has them."""

import base64
import gzip
import html.parser
import json
import pathlib

import matplotlib.image
import pytest
from plotly.offline import get_plotlyjs

from cb.errors import InputError
from cb.plots.__main__ import main
from cb.plots.curves import fit_distance
from cb.plots.page import Page
from cb.plots.reading import read_run
from cb.runs.directory import RunDirectory
from tests.commands import run as run_command
from tests.plots.conftest import INTERCEPT
from tests.plots.conftest import SLOPE

FIGURES = {"loss", "error", "accuracy", "learning_rate", "distance"}
SUMMARY = {
    "parameters": 100,
    "costs": {"dense_bytes": 4000, "csr_bytes": 900, "bitmask_bytes": 600},
    "training": {"total": 5e9},
    "seconds": 12.5,
}


class Tables(html.parser.HTMLParser):
    """Reads a page: the cells of its tables, and what it holds compressed."""

    def __init__(self, file):
        super().__init__()
        self.rows, self.packed, self._inside = [], {}, ""
        self.feed(pathlib.Path(file).read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        assert not {"src", "href"} & attributes.keys()
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self._inside = tag
            self.rows[-1].append("")
        if tag == "script":
            self._inside = attributes.get("id", "")

    def handle_endtag(self, tag):
        if tag in ("td", "th", "script"):
            self._inside = ""

    def handle_data(self, data):
        if self._inside in ("td", "th"):
            self.rows[-1][-1] += data
        elif self._inside:
            packed = gzip.decompress(base64.b64decode(data))
            self.packed[self._inside] = packed.decode("utf-8")

    def figures(self):
        return json.loads(self.packed["data"])["figures"]


def test_every_figure_is_a_file_and_on_the_page(make_run, tmp_path):
    scores = [("last", "test", "accuracy", 0.875)]
    runs = [
        make_run("one", scores=scores, batch_size=32),
        make_run("two", batch_size=64),
    ]
    RunDirectory(runs[0]).write_summary(SUMMARY)
    output = tmp_path / "plots"
    main([*runs, "--output", str(output)])
    assert {file.stem for file in output.glob("*.png")} == FIGURES
    for file in output.glob("*.png"):
        height, width, _ = matplotlib.image.imread(file).shape
        assert (width, height) == (960, 600)
    page = Tables(output / "index.html")
    header, one, two = page.rows
    one, two = (dict(zip(header, row, strict=True)) for row in (one, two))
    assert one == {
        "run": "batch_size=32",
        "test accuracy, %": "87.5",
        "validation accuracy, %": "92.5",
        "best, %": "92.5",
        "loss": "0.125",
        "parameters": "100",
        "training FLOPs": "5 G",
        "bytes": "600",
        "seconds": "12.5",
        "epochs": "8",
        "updates": "200",
        "distance": one["distance"],
        "distance: slope": "2",
        "distance: R²": "1",
        "batch_size": "32",
    }
    assert two["run"] == "batch_size=64" and two["test accuracy, %"] == ""
    assert len(page.figures()) == len(FIGURES)
    # Validation, at the ends of epochs.
    errors = page.figures()[1]["data"][1]
    assert errors["items"] == errors["name"] == "batch_size=32"
    assert errors["x"] == [*range(1, 9)]
    assert errors["y"] == pytest.approx([60 / n for n in range(1, 9)], 1e-5)


def test_a_page_needs_no_network_and_is_small(make_run, tmp_path):
    runs = [make_run(f"run_{n}", seed=n) for n in range(30)]
    main([str(tmp_path), f"--output={tmp_path / 'plots'}"])
    file = tmp_path / "plots/index.html"
    assert file.stat().st_size < 5e6
    page = Tables(file)
    assert page.packed["plotly"] == get_plotlyjs()
    # In order of the numbers in the names of the folders.
    assert [row[0] for row in page.rows[1:]] == [
        f"seed={n}" for n in range(len(runs))
    ]


def test_accuracy_is_shown_against_what_it_costs(make_run, tmp_path):
    for number, (seconds, accuracy) in enumerate(
        [(10.0, 0.5), (20.0, 0.25), (30.0, 0.75)]
    ):
        scores = [("last", "test", "accuracy", accuracy)]
        run = make_run(f"run_{number}", seed=number, scores=scores)
        RunDirectory(run).write_summary({**SUMMARY, "seconds": seconds})
    main([str(tmp_path), f"--output={tmp_path / 'plots'}"])
    figures = Tables(tmp_path / "plots/index.html").figures()
    best, *points = figures[0]["data"]
    assert (best["x"], best["y"]) == ([10.0, 30.0], [50.0, 75.0])
    items = [point["items"] for point in points]
    assert items == ["seed=0", "seed=1", "seed=2"]
    # What all runs have in common is no figure.
    assert figures[0]["layout"]["xaxis"]["title"]["text"] == "seconds"
    assert figures[1]["layout"]["xaxis"]["title"]["text"] == "epochs"


def test_what_is_no_run_is_left_out(make_run, tmp_path, capsys):
    make_run("one", [(1, 1, "loss", 0.5)])
    make_run("young", rows=())
    (tmp_path / "notes").mkdir()
    output = tmp_path / "plots"
    arguments = [str(tmp_path / name) for name in ("one", "young", "notes")]
    main([*arguments, f"--output={output}"])
    printed = capsys.readouterr()
    assert printed.out.strip() == str(output / "index.html")
    notes, young = printed.err.splitlines()
    assert "must have `metrics.csv`" in young and "young" in young
    assert "notes' is no run and holds none" in notes
    with pytest.raises(InputError, match="There must be a run.*holds none"):
        main([str(tmp_path / "notes")])


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
