"""Write flagfiles, pages and figures of all published experiments.

python -m experiments.write
"""

import argparse

from cb.errors import guarded
from experiments import figures
from experiments import pages
from experiments import published
from experiments import results
from experiments.catalogue import experiments

DOCS = results.ROOT / "docs"


def main():
    """Write every file that definitions and results describe."""
    argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    for experiment in experiments():
        file = results.ROOT / experiment.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(experiment.text(), encoding="utf-8")
    for name, page in (
        ("experiments.md", pages.experiments_page()),
        ("published_tables.md", pages.tables_page()),
    ):
        (DOCS / name).write_text(page, encoding="utf-8")
    file = results.ROOT / "README.md"
    text = file.read_text(encoding="utf-8")
    file.write_text(pages.readme(text), encoding="utf-8")
    for table in published.tables().values():
        if figures.has_figure(table):
            figures.draw(
                table, DOCS / pages.FIGURES / f"table_{table.name}.png"
            )


if __name__ == "__main__":
    guarded(main)
