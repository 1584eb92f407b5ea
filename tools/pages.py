"""Take pictures of the pages of runs and sweeps, of made-up results.

    python -m tools.pages --output=pages

writes the pages of 2, 20 and 180 runs and of sweeps with 4, 20 and 180 trials,
and pictures of each as wide as a screen and as a telephone. Needs Chromium.
"""

import argparse
import dataclasses
import json
import pathlib
import shutil
import subprocess

import numpy as np
from PIL import Image
from PIL import ImageChops

from cb.config import Config
from cb.plots import report as runs_report
from cb.plots.reading import read_runs
from cb.runs.directory import RunDirectory
from cb.runs.long_csv import EVALUATION_HEADER
from cb.runs.long_csv import METRICS_HEADER
from cb.runs.long_csv import LongCsv
from cb.tuning import report as sweep_report
from cb.tuning.results import ABOUT
from cb.tuning.results import IDENTITY
from cb.tuning.results import MEASURED
from cb.tuning.results import Results
from cb.tuning.space import Parameter

RUNS, TRIALS, WIDTHS = (2, 20, 180), (4, 20, 180), (1280, 400)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
TALLEST, MARGIN = 6000, 20
METHODS = ("rigl", "set", "static", "magnitude_pruning")
SPARSITIES = (0.5, 0.8, 0.9, 0.95, 0.98)
WEIGHTS, EPOCHS = 266_610, 20
SPACE = (
    Parameter(name="reallocation", kind="choice", values=METHODS),
    Parameter(name="sparsity", kind="float", low=0.0, high=0.99),
    Parameter(
        name="reallocation.every",
        kind="int",
        low=10,
        high=10_000,
        log=True,
        when={"reallocation": METHODS[:2]},
    ),
    Parameter(name="learning_rate", kind="float", low=1e-4, high=1, log=True),
    Parameter(name="model.width", kind="int", low=8, high=512, log=True),
    Parameter(name="optimizer.momentum", kind="float", low=0.0, high=0.99),
    Parameter(name="distribution", kind="choice", values=("uniform", "erk")),
)


def accuracy(method: str, sparsity: float, rate: float, random) -> float:
    """Return an accuracy that falls with sparsity and far from a good rate."""
    lost = 0.06 * sparsity**8 + 0.02 * (np.log10(rate) + 1.2) ** 2
    lost += 0.01 * METHODS.index(method) * sparsity
    return float(np.clip(0.985 - lost - abs(random.normal(0, 0.003)), 0.1, 1))


def make_run(folder: pathlib.Path, number: int, random) -> None:
    """Write the folder of a run."""
    every = [(s, m) for s in SPARSITIES for m in METHODS]
    sparsity, method = every[number % len(every)]
    rate = float(f"{np.geomspace(0.003, 0.3, 9)[number // len(every)]:.3g}")
    run = RunDirectory(str(folder / f"run_{number}"))
    run.path.mkdir(parents=True)
    config = Config(
        model="lenet_300_100",
        sparsity=sparsity,
        reallocation=method,
        learning_rate=rate,
        epochs=EPOCHS,
    )
    run.write_config(config, {})
    best = accuracy(method, sparsity, rate, random)
    kept = round(WEIGHTS * (1 - sparsity))
    rows = []
    for epoch in range(1, EPOCHS + 1):
        reached = best - (best - 0.1) * np.exp(-epoch / 3)
        numbers = {
            "loss": 2.3 * np.exp(-epoch / 4) + 0.05 + 0.02 * random.random(),
            "accuracy": min(reached + 0.01, 1.0),
            "learning_rate": rate * (1 - epoch / (EPOCHS + 1)),
            "density": 1 - sparsity,
            "flops": 2 * kept + 1000,
            "validation/loss": 2.3 * np.exp(-epoch / 4) + 0.1,
            "validation/accuracy": reached + random.normal(0, 0.002),
        }
        rows += [(100 * epoch, epoch, *item) for item in numbers.items()]
    LongCsv(run.metrics_file, METRICS_HEADER).append(rows)
    scores = [("last", "test", "accuracy", best - 0.002)]
    LongCsv(run.evaluation_file, EVALUATION_HEADER).append(scores)
    run.write_summary(
        {
            "parameters": kept,
            "costs": {
                "dense_bytes": 4 * WEIGHTS,
                "csr_bytes": 8 * kept,
                "bitmask_bytes": 4 * kept + WEIGHTS // 8,
            },
            "training": {"total": 6.0 * kept * 60_000 * EPOCHS},
            "seconds": 30 + 20 * random.random(),
        }
    )


def make_sweep(folder: pathlib.Path, count: int, random) -> None:
    """Write the folder of a sweep, one trial in twenty of which failed."""
    folder.mkdir(parents=True)
    about = {
        "columns": dict(
            zip(
                ("val_error", "inference_flops", "training_flops"),
                MEASURED,
                strict=True,
            )
        ),
        "experiment": "search",
        "folds": [],
        "objectives": [
            {"name": "val_error", "direction": "min"},
            {"name": "inference_flops", "direction": "min"},
        ],
        "oracle": "pareto",
        "seeds": [0],
        "space": [dataclasses.asdict(one) for one in SPACE],
    }
    (folder / "sweep.json").write_text(json.dumps(about))
    names = [one.name for one in SPACE]
    columns = [*MEASURED, *names, *IDENTITY, *ABOUT]
    Results(folder / "results.csv", columns).append(
        trial(number, random) for number in range(count)
    )


def trial(number: int, random) -> dict:
    """Return the row of a trial."""
    row: dict = {}
    for one in SPACE:
        if any(row[name] not in to for name, to in one.when.items()):
            continue
        low, high = one.extremes()[:: len(one.extremes()) - 1]
        if one.kind == "choice":
            row[one.name] = str(random.choice(one.values))
        elif one.log:
            row[one.name] = float(np.exp(random.uniform(*np.log([low, high]))))
        else:
            row[one.name] = float(random.uniform(low, high))
        if one.kind == "int":
            row[one.name] = round(row[one.name])
    command = " ".join(f"--{name}={value}" for name, value in row.items())
    row |= {"config_id": f"0-{number:03}", "trial": f"{number:03}", "seed": 0}
    row |= {"dataset": "digits", "experiment": "search", "status": "complete"}
    row |= {"seconds": 3 + random.random()}
    row["command"] = f"python train.py --dataset=digits {command}"
    if number % 20 == 13:
        return row | {"status": "failed", "note": "The loss is not finite."}
    method, sparsity = row["reallocation"], row["sparsity"]
    found = accuracy(method, sparsity, row["learning_rate"], random)
    flops = 2.0 * row["model.width"] * 794 * (1 - sparsity)
    costs = zip(MEASURED, (1 - found, flops, 3e4 * flops), strict=True)
    return row | dict(costs)


def picture(browser: str, page: pathlib.Path, width: int) -> pathlib.Path:
    """Take a picture of a page, of the given width.

    Args:
        browser: String, path of Chromium.
        page: Path.
        width: Integer, pixels.

    Returns:
        Path of the picture.
    """
    file = page.parent / f"{page.parent.name}_{width}.png"
    # Windows have a least width, frames have none.
    frame = page.with_name("frame.html")
    frame.write_text(
        f'<body style="margin:0"><iframe src="{page.name}" style="border:0;'
        f'width:{width}px;height:{TALLEST}px"></iframe>'
    )
    subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--hide-scrollbars",
            "--allow-file-access-from-files",
            "--virtual-time-budget=30000",
            f"--window-size={max(width, 600)},{TALLEST}",
            f"--screenshot={file}",
            frame.resolve().as_uri(),
        ],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    frame.unlink()
    shown = Image.open(file).convert("RGB").crop((0, 0, width, TALLEST))
    white = Image.new("RGB", shown.size, "white")
    box = ImageChops.difference(shown, white).getbbox()
    bottom = box[3] if box else TALLEST
    shown.crop((0, 0, width, min(bottom + MARGIN, TALLEST))).save(file)
    return file


def main() -> None:
    """Write all pages, and take pictures of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default="pages")
    output = pathlib.Path(parser.parse_args().output)
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit(
            f"Pictures of pages need Chromium: none of {', '.join(BROWSERS)} "
            "was found. On Debian: apt-get install chromium"
        )
    shutil.rmtree(output, ignore_errors=True)
    random = np.random.default_rng(0)
    pages = []
    for count in RUNS:
        made = output / "made" / f"runs_{count}"
        for number in range(count):
            make_run(made, number, random)
        runs, _ = read_runs([str(made)])
        pages.append(runs_report.write(runs, output / made.name, "epoch"))
    for count in TRIALS:
        made = output / "made" / f"sweep_{count}"
        make_sweep(made, count, random)
        page = sweep_report.write([made], output / made.name)
        pages.extend([page] if page else [])
    for page in pages:
        print(f"{page}: {page.stat().st_size / 1e6:.2f} MB")
        for width in WIDTHS:
            print(picture(browser, page, width))


if __name__ == "__main__":
    main()
