"""Pages and figures of published tables."""

import numpy as np
import pytest

from cb.errors import InputError
from experiments import figures
from experiments import pages
from experiments import published
from experiments import results
from tests.experiments.small_table import DENSE
from tests.experiments.small_table import SMALL
from tests.experiments.small_table import line


def test_a_readme_without_the_place_of_the_table_is_refused():
    with pytest.raises(InputError, match="README must have a line"):
        pages.readme("# A project")


def test_pages_count_seeds_and_leave_out_other_protocols(tmp_path):
    lines = [
        line(48.0, 0),
        line(50.0, 1),
        line(None, 2, "diverged"),
        line(99.0, 3, flags="--epochs=1"),
    ]
    results.append("small", lines, tmp_path)
    text = "\n".join(pages.section(SMALL, tmp_path))
    assert "49.49 ± 5.89 | 49.00 ± 1.41 (2), 1 diverged | compared |" in text
    assert "| [dense]" in text and "98.69 |  | not run |" in text
    assert "2026-11-29, a machine, commit abc" in text


def test_the_catalogue_shows_the_accuracy_of_runs_that_measure_errors():
    # Of seeds 0 to 2, errors of 1.81, 1.86 and 1.79 in the repository.
    row = "89.1 % sparse | 98.52 | 98.18 ± 0.04 (3) | "
    assert row in pages.experiments_page()


def test_pages_name_the_commits_of_what_they_count(tmp_path):
    lines = [line(48.0, 0), line(50.0, 1, flags="--epochs=1")]
    lines[1] = lines[1]._replace(commit="old")
    results.append("small", lines, tmp_path)
    text = "\n".join(pages.section(SMALL, tmp_path))
    assert "commit abc." in text and "old" not in text


def test_figures_show_rows_of_several_columns(tmp_path):
    chosen = published.tables()["dynamic_sparse"]
    results.append("dynamic_sparse", [line(50.0, 0)], tmp_path)
    found = figures.curves(chosen, tmp_path)
    assert [*found] == ["dynamic", "static", "pruned"]
    place, theirs, ours = found["static"][-1]
    assert (place, theirs.mean, ours.values) == (0.99, 49.49, [50.0])
    file = tmp_path / "figure.png"
    figures.draw(chosen, file, tmp_path)
    assert file.read_bytes().startswith(b"\x89PNG")
    accuracies = np.array([10.0, 50.0, 98.5, 99.9])
    there = figures._by_error(accuracies)
    assert (np.diff(there) > 0).all()
    np.testing.assert_allclose(figures._of_error(there), accuracies)
    sparsities = np.array([0.0, 0.5, 0.9, 0.99])
    there = figures._by_density(sparsities)
    np.testing.assert_allclose(np.diff(there[[0, 2, 3]]), 1)
    np.testing.assert_allclose(figures._of_density(there), sparsities)


def test_figures_show_rows_without_columns_as_lines(tmp_path):
    chosen = published.tables()["dynamic_sparse"]
    assert not figures.lines(chosen, tmp_path)
    done = [
        line(value, seed, experiment=DENSE)
        for seed, value in ((0, 98), (1, 99))
    ]
    results.append("dynamic_sparse", done, tmp_path)
    ((row, ours),) = figures.lines(chosen, tmp_path).items()
    assert (row, ours.values) == ("dense", [98, 99])
    # Figures row by row have all rows.
    assert not figures.lines(published.tables()["set_keras"], tmp_path)


def test_the_page_begins_with_what_came_of_each_table(tmp_path):
    results.append("dynamic_sparse", [line(50.0, 0)], tmp_path)
    text = pages.tables_page(tmp_path)
    title = "[Dynamic sparse reparameterization on MNIST]"
    link = "(#dynamic-sparse-reparameterization-on-mnist)"
    assert f"| {title}{link} | 1 of 57 | 0 | 0 | 0 | 19 |" in text


def test_figures_show_tables_without_columns_row_by_row(tmp_path):
    chosen = published.tables()["set_keras"]
    name = "set_keras/cifar10_set"
    done = line(57.5, 0, experiment=name)
    done = done._replace(name="accuracy after 50 epochs")
    results.append("set_keras", [done], tmp_path)
    found = figures.dots(chosen, tmp_path)
    mean, ours = found["SET after 50 epochs"]
    assert mean == 57.12
    assert {column: one.values for column, one in ours.items()} == {
        "4000-1000-4000": [57.5]
    }
    assert found["SET after 100 epochs"] == (60.76, {})
    assert len(found) == 6
    file = tmp_path / "figure.png"
    figures.draw(chosen, file, tmp_path)
    assert file.read_bytes().startswith(b"\x89PNG")
    assert not figures.dots(published.tables()["dynamic_sparse"], tmp_path)
    assert not figures.dots(published.tables()["rigl"], tmp_path)
