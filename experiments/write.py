"""Write the flagfiles of all published experiments, and their catalogue.

python -m experiments.write
"""

import pathlib

from experiments.catalogue import experiments
from experiments.catalogue import page

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = "docs/experiments.md"


def main():
    """Write every file that the tables describe."""
    for experiment in experiments():
        file = ROOT / experiment.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(experiment.text(), encoding="utf-8")
    (ROOT / PAGE).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
