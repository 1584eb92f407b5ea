"""Pages and figures of published tables."""

import numpy as np
import pytest

from cb.errors import InputError
from experiments import figures
from experiments import pages
from experiments import published
from experiments import results
from experiments.ours import of_table
from tests.experiments.small_table import DENSE
from tests.experiments.small_table import PRUNED
from tests.experiments.small_table import SMALL
from tests.experiments.small_table import line

DYNAMIC = "dynamic_sparse/mnist_07_dynamic_s99"


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
    # The published one did not diverge.
    assert "49.49 ± 5.89 | 49.00 ± 1.41 (2), 1 diverged | differs |" in text
    assert "| [dense]" in text and "98.69 |  | not run |" in text
    assert "2026-11-29, a machine, commit abc" in text


def test_a_run_counts_with_the_one_that_it_begins_with(tmp_path):
    results.append("small", [line(97.0, 0, experiment=PRUNED)], tmp_path)
    assert not of_table(SMALL, tmp_path)
    old = line(98.0, 0, experiment=DENSE, flags="--epochs=1")
    other = line(98.0, 1, experiment=DENSE)
    results.append("small", [old, other], tmp_path)
    assert [*of_table(SMALL, tmp_path)] == [DENSE]
    results.append("small", [line(98.5, 0, experiment=DENSE)], tmp_path)
    found = of_table(SMALL, tmp_path)
    assert found[PRUNED]["accuracy"].values == [97.0]
    assert found[DENSE]["accuracy"].values == [98.0, 98.5]


def test_runs_that_all_diverged_have_none_of_the_published_numbers(tmp_path):
    name = "set_keras/cifar10_set"
    lines = [line(None, n, "diverged", experiment=name) for n in range(3)]
    results.append("set_keras", lines, tmp_path)
    chosen = published.tables()["set_keras"]
    rows = [row for row in pages.section(chosen, tmp_path) if name in row]
    assert len(rows) == 2
    assert all(row.endswith("| 3 diverged | differs |") for row in rows)
    (row,) = [
        row
        for row in pages.experiments_page(tmp_path).splitlines()
        if f"{name}.flags" in row
    ]
    assert row.endswith("| 60.76 after 100 epochs | 3 diverged | differs |")


def test_the_catalogue_shows_the_accuracy_of_runs_that_measure_errors(tmp_path):
    name = "rigl/lenet_300_100_structure"
    lines = [
        line(error, seed, experiment=name)._replace(name="error, %")
        for seed, error in enumerate((1.81, 1.86, 1.79))
    ]
    results.append("rigl", lines, tmp_path)
    row = "89.1 % sparse | 98.52 | 98.18 ± 0.04 (3) | differs |"
    assert row in pages.experiments_page(tmp_path)


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


def test_figures_show_numbers_that_are_no_accuracies_as_multiples(tmp_path):
    chosen, name = published.tables()["rigl"], "rigl/lenet_300_100_structure"
    assert not figures.has_figure(chosen, tmp_path)
    lines = [
        line(value, seed, experiment=name)._replace(name=what)
        for what, values in (("error, %", (1.48, 2.96)), ("bytes", (31914,)))
        for seed, value in enumerate(values)
    ]
    results.append("rigl", lines, tmp_path)
    found = figures.ratios(chosen, tmp_path)
    assert found == {"error, %": [1.0, 2.0], "bytes": [1.0]}
    drawn(chosen, tmp_path)
    # Tables of accuracies have other figures.
    assert not figures.ratios(published.tables()["set_keras"], tmp_path)


def test_figures_show_accuracies_over_another_number_of_the_runs(tmp_path):
    chosen, name = published.tables()["bundles"], "bundles/fnn_10_50"
    entropy = "bundle entropy, nats"
    lines = [
        line(value, seed, experiment=name)._replace(name=what)
        for seed, pair in enumerate(((11.35, 2.29), (77.0, 0.03)))
        for what, value in zip(("accuracy", entropy), pair, strict=True)
    ]
    results.append("bundles", lines, tmp_path)
    assert figures.points(chosen, tmp_path) == {
        "50 layers, width 10": [(2.29, 11.35), (0.03, 77.0)]
    }
    drawn(chosen, tmp_path)
    # A mean of networks that learn and that do not would be neither.
    text = "\n".join(pages.section(chosen, tmp_path))
    assert "| accuracy |  | 11.35, 77.00 | 2 of 3 seeds |" in text
    assert "| bundle entropy, nats |  | 2.29, 0.03 | 2 of 3 seeds |" in text
    # One that diverged with every seed has no point.
    gone = "bundles/fnn_150_10"
    lines = [line(None, n, "diverged", experiment=gone) for n in range(3)]
    results.append("bundles", lines, tmp_path)
    assert [*figures.points(chosen, tmp_path)] == ["50 layers, width 10"]
    text = "\n".join(pages.section(chosen, tmp_path))
    assert "| accuracy |  | 3 diverged |" in text


def drawn(chosen, folder):
    assert figures.has_figure(chosen, folder)
    file = folder / "figure.png"
    figures.draw(chosen, file, folder)
    assert file.read_bytes().startswith(b"\x89PNG")


def test_the_page_begins_with_what_came_of_each_table(tmp_path):
    reproduced = [line(value, n) for n, value in enumerate((44, 50, 55, 99))]
    differing = [line(98.0, n, experiment=DYNAMIC) for n in range(3)]
    compared = [line(98.0, n, experiment=DENSE) for n in range(2)]
    diverged = line(None, 2, "diverged", experiment=DENSE)
    few = line(97.0, 0, experiment=PRUNED)
    lines = [*reproduced, *differing, *compared, diverged, few]
    results.append("dynamic_sparse", lines, tmp_path)
    title = "[Dynamic sparse reparameterization on MNIST]"
    link = "(#dynamic-sparse-reparameterization-on-mnist)"
    # A fourth seed was not planned.
    row = f"| {title}{link} | 10 of 57 | 1 | 1 | 1 |"
    assert row in pages.tables_page(tmp_path)
