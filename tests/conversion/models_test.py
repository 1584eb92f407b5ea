"""A sample of the table of other people's models, and its page."""

import pytest

from benchmarks.guide_models import GUIDES
from benchmarks.models import FILE
from benchmarks.models import PAGE
from benchmarks.models import STEPS
from benchmarks.models import measure
from benchmarks.models import table
from benchmarks.tables import read

# Lookups beside numbers; layers made of layers.
SAMPLE = ("structured data", "subclassed network")


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("name", SAMPLE)
def test_a_model_does_what_the_table_says(name):
    written = read(FILE)[name]
    for key, value in measure(GUIDES[name]).items():
        assert str(value) == written[key], key


def test_guides_go_all_the_way_or_are_refused():
    found = read(FILE)
    assert {*GUIDES} <= {*found}
    for name in GUIDES:
        for step in STEPS:
            assert found[name][step].startswith(("works", "refused: ")), name


def test_the_page_has_the_table():
    assert table(read(FILE)) in PAGE.read_text(encoding="utf-8")
    assert not any("WRONG" in row.values() for row in read(FILE).values())
