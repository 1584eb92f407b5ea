"""Dynamic sparse reparameterization: 83 + 21 jobs and those on MNIST."""

import dataclasses

from experiments.catalogue import GPU
from experiments.catalogue import RUNS
from experiments.catalogue import SMALL
from experiments.catalogue import Experiment
from experiments.tables import dynamic_sparse_runs

PAPER = "Mostafa and Wang, 2019, https://arxiv.org/abs/1902.05967"
SCHEDULES = "experiments/dynamic_sparse"
CIFAR, IMAGENET, MNIST = "cifar10", "imagenet", "mnist"
HALVES = (0.9, 0.8, 0.7, 0.6, 0.5)
CIFAR_STEPS, MNIST_STEPS = 500, 600
TIME = {
    CIFAR: "not measured; 100,000 steps of batch 100 take days on two cores",
    IMAGENET: "not measured; about 500,000 steps of batch 256",
    MNIST: "minutes on two CPU cores",
}
COMMON = {
    CIFAR: {
        "dataset": "cifar10",
        "model": "wide_resnet(depth=28, width=2)",
        "batch_size": 100,
        "epochs": 200,
    },
    IMAGENET: {
        "dataset": "imagenet2012",
        "model": "resnet50(variant='dynamic_sparse')",
        "batch_size": 256,
        "epochs": 100,
    },
    MNIST: {
        "dataset": "mnist",
        "model": "mnist_mlp",
        "batch_size": 100,
        "epochs": 100,
        **SMALL,
    },
}
DECAY = {CIFAR: 5e-4, IMAGENET: 1e-4, MNIST: 1e-4}
SCHEDULE = {
    CIFAR: "wrnet_schedule",
    IMAGENET: "resnet_schedule",
    MNIST: "mnist_schedule",
}
PRUNE = {CIFAR: "wrnet_prune", IMAGENET: "resnet_prune", MNIST: "mnist_prune"}
FREED = "Trains twice as long, as the paper does for this method."
# From the paper's table of ResNet-50 on ImageNet, and its authors' runs on the
# others.
TOP_1 = {
    ("thin", 0.8): 71.6,
    ("thin", 0.9): 69.4,
    ("static", 0.8): 70.4,
    ("static", 0.9): 66.4,
    ("pruned", 0.8): 73.2,
    ("pruned", 0.9): 70.3,
    ("dynamic", 0.8): 73.3,
    ("dynamic", 0.9): 71.6,
}
PUBLISHED = {
    IMAGENET: {key: (accuracy, None) for key, accuracy in TOP_1.items()},
    **{
        data: {
            key: dynamic_sparse_runs.moments(accuracies)
            for key, accuracies in runs.items()
        }
        for data, runs in (
            (CIFAR, dynamic_sparse_runs.CIFAR),
            (MNIST, dynamic_sparse_runs.MNIST),
        )
    },
}


def experiments():
    """Return the jobs in the order of the source's files."""
    return [*_cifar(), *_imagenet(), *_mnist()]


def _job(data, number, what, title, sparsity, reallocation, **options):
    """Return one job.

    Options are `decay`, `schedule`, `note`, `kind` (the key in `PUBLISHED`, by
    default `what` and the sparsity) and any flag.
    """
    decay = options.pop("decay", DECAY[data])
    schedule = options.pop("schedule", SCHEDULE[data])
    note = options.pop("note", "")
    kind = options.pop("kind", (what, sparsity))
    expected, deviation = PUBLISHED[data].get(kind, (None, None))
    share = f"_s{round(sparsity * 100)}" if sparsity else ""
    flags = {
        **COMMON[data],
        "augmentation": "published('dynamic_sparse')",
        "validation_fraction": 0,
        "optimizer": "published_sgd(momentum=0.9, nesterov=True, "
        f"weight_decay={decay})",
        "schedule_file": f"{SCHEDULES}/{schedule}.yaml",
        "sparsity": sparsity,
        "distribution": "uniform",
        "rounding": "down",
        "reallocation": reallocation,
        **options,
    }
    return Experiment(
        name=f"dynamic_sparse/{data}_{number:02}_{what}{share}",
        title=title.format(sparsity=f"{100 * sparsity:g} %"),
        paper=PAPER,
        table=f"job {number} of the source's {data} experiments",
        flags=flags,
        expected=expected,
        deviation=deviation,
        time=TIME[data],
        status=RUNS if data == MNIST else GPU,
        note=note,
    )


def _before(epoch, steps):
    """Return the last step at which the source still moves connections."""
    return epoch * steps - 1


def _dynamic(pruned, stop, steps):
    return f"dynamic_sparse(pruned={pruned}, end={_before(stop, steps)})"


def _cifar():
    yield _job(CIFAR, 0, "dense", "Dense WRN-28-2", 0, "static")
    for number, s in enumerate(HALVES, start=1):
        yield _pruned(CIFAR, number, s, "cubic", 0, 20, 10)
    for number, s in enumerate(HALVES, start=6):
        yield _job(
            CIFAR,
            number,
            "dynamic",
            "Dynamic sparse WRN-28-2, {sparsity} sparse",
            s,
            _dynamic(20000, 190, CIFAR_STEPS),
        )
    for number, s in enumerate(HALVES, start=11):
        yield _static(CIFAR, number, s, 400, "wrnet_schedule_long")
    for number, width in enumerate((0.75, 0.98, 1.15, 1.33, 1.47), start=16):
        yield _job(
            CIFAR,
            number,
            f"thin_{round(100 * width)}",
            f"Thin dense WRN-28, width {width}",
            0,
            "static",
            model=f"wide_resnet(depth=28, width={width})",
            epochs=400,
            schedule="wrnet_schedule_long",
            note=FREED,
        )
    for number, s in enumerate(HALVES, start=21):
        yield _rewired(CIFAR, number, s, 0.0, _before(190, CIFAR_STEPS))
    drops = (0.138, 0.07, 0.046, 0.034, 0.028)
    for number, (s, drop) in enumerate(zip(HALVES, drops, strict=True), 26):
        yield _set(CIFAR, number, s, drop, _before(190, CIFAR_STEPS))
    for number, s in enumerate(HALVES, start=31):
        yield _job(
            CIFAR,
            number,
            "slices",
            "Dynamic sparse WRN-28-2 by 3x3 slices, {sparsity} sparse",
            s,
            _dynamic(2000, 190, CIFAR_STEPS),
            granularity="slice",
        )
    for number, s in enumerate(HALVES, start=36):
        yield _tied(CIFAR, number, s)
    yield from _stopped_early()
    yield from _copied(CIFAR, (79, 80), (0.9, 0.8), ("06", "07"), 400)


def _stopped_early():
    for pair in range(19):
        for number, s in ((41 + 2 * pair, 0.9), (42 + 2 * pair, 0.8)):
            stop = 190 - 10 * pair
            yield _job(
                CIFAR,
                number,
                f"stop_{stop}",
                f"Dynamic sparse WRN-28-2 until epoch {stop}, {{sparsity}}",
                s,
                _dynamic(20000, stop, CIFAR_STEPS),
                note="The source's job 68 fails for a stray space."
                if number == 68
                else "",
            )


def _imagenet():
    yield _job(IMAGENET, 0, "dense", "Dense ResNet-50", 0, "static")
    drops = {0.8: 0.089, 0.9: 0.14}
    widths = {0.8: 0.54, 0.9: 0.46}
    for first, s in ((1, 0.8), (11, 0.9)):
        yield _job(
            IMAGENET,
            first,
            f"thin_{round(100 * widths[s])}",
            f"Thin dense ResNet-50, width {widths[s]}",
            0,
            "static",
            model=f"resnet50(variant='dynamic_sparse', width={widths[s]})",
            epochs=200,
            schedule="resnet_schedule_long",
            kind=("thin", s),
            note=FREED,
        )
        yield _job(
            IMAGENET,
            first + 1,
            "dynamic",
            "Dynamic sparse ResNet-50, {sparsity} sparse",
            s,
            "dynamic_sparse(pruned=400000, end='95ep')",
        )
        yield _tied(IMAGENET, first + 2, s)
        yield _static(IMAGENET, first + 3, s, 200, "resnet_schedule_long")
        yield _pruned(IMAGENET, first + 4, s, "exponential", 0, 20, 10)
        yield _rewired(IMAGENET, first + 5, s, 1e-4, "'95ep'")
        yield _set(IMAGENET, first + 6, s, drops[s], "'95ep'")
        yield _job(
            IMAGENET,
            first + 7,
            "slices",
            "Dynamic sparse ResNet-50 by slices, {sparsity} sparse",
            s,
            "dynamic_sparse(pruned=40000, end='95ep')",
            granularity="slice",
        )
        numbers = (first + 8,)
        yield from _copied(IMAGENET, numbers, (s,), (f"{first + 1:02}",), 200)


def _mnist():
    sparsities = (0.99, 0.98, 0.97, 0.96, 0.95, 0.9)
    yield _job(MNIST, 0, "dense", "Dense LeNet-300-100", 0, "static")
    for number, s in enumerate(sparsities, start=1):
        yield _pruned(MNIST, number, s, "exponential", 1, 10, 20)
    for number, s in enumerate(sparsities, start=7):
        yield _job(
            MNIST,
            number,
            "dynamic",
            "Dynamic sparse LeNet-300-100, {sparsity} sparse",
            s,
            _dynamic(600, 90, MNIST_STEPS),
            decay=0.0,
            regularization="l1(1e-4)",
        )
    for number, s in enumerate(sparsities, start=13):
        yield _static(MNIST, number, s, 100, "mnist_schedule")
    for number, s in enumerate(sparsities, start=19):
        yield _tied(MNIST, number, s)


def _pruned(data, number, s, schedule, start, iterations, post):
    # The source prunes at the end of epoch `start`, counted from zero.
    target, budget = f"sparsity={s}, ", {}
    if data == MNIST and s > 0.9:
        # It leaves 100 weights in the last layer, and so fewer in the others.
        rest = 1 - ((1 - s) * 266_200 - 100) / 265_200
        text = f"logits=0.9,dense={round(rest, 8)}"
        target, budget = "", {"sparsity": text, "masks": "magnitude"}
    job = _job(
        data,
        number,
        f"pruned_s{round(100 * s)}",
        f"Dense, then pruned to {100 * s:g} % by magnitude",
        0,
        f"magnitude_pruning({target}schedule='{schedule}', "
        f"iterations={iterations}, start='{start + 1}ep', every='2ep', "
        f"post_epochs={post})",
        schedule=PRUNE[data],
        initialize_from=f"runs/dynamic_sparse/{data}_00_dense:last",
        kind=("pruned", s),
        note=f"Train {data}_00_dense before. The source prunes one weight too "
        "many each time and ends an epoch early; published=True does too.",
    )
    return dataclasses.replace(job, flags={**job.flags, **budget})


def _static(data, number, s, epochs, schedule):
    return _job(
        data,
        number,
        "static",
        "Static random masks, {sparsity} sparse",
        s,
        "static",
        epochs=epochs,
        schedule=schedule,
        note=FREED if data != MNIST else "",
    )


def _rewired(data, number, s, decay, stop):
    return _job(
        data,
        number,
        "deep_rewiring",
        "Deep rewiring, {sparsity} sparse",
        s,
        "deep_rewiring(eta=0.01, absolute=1e-05, sign='adopted', "
        f"noise='gradients', stop={stop})",
        decay=decay,
        note="Noise on the gradient, as the source has it.",
    )


def _set(data, number, s, drop, end):
    return _job(
        data,
        number,
        "set",
        "SET, {sparsity} sparse",
        s,
        f"set(drop_fraction={drop}, decay='constant', end={end})",
    )


def _tied(data, number, s):
    return _job(
        data,
        number,
        "tied",
        "Tied weights (HashedNet), as few as at {sparsity}",
        s,
        "static",
        weight_sharing="tied",
    )


def _copied(data, numbers, sparsities, sources, epochs):
    """Yield masks of a run with other weights, then with its own."""
    long = {CIFAR: "wrnet_schedule_long", IMAGENET: "resnet_schedule_long"}
    for initial in (False, True):
        for number, s, source in zip(numbers, sparsities, sources, strict=True):
            run = f"{data}_{source}_dynamic_s{round(100 * s)}"
            weights = ", initial_weights=True" if initial else ""
            yield _job(
                data,
                number + initial * len(numbers),
                "copied_initial" if initial else "copied",
                f"Masks {'and first weights ' if initial else ''}of a dynamic "
                "sparse run, {sparsity}",
                s,
                f"static(copy_mask_from='runs/dynamic_sparse/{run}'{weights})",
                epochs=epochs,
                schedule=long[data],
                note=f"Train {run} before."
                + (
                    " The source forgets the batch size here and takes 100."
                    if data == IMAGENET
                    else ""
                ),
            )
