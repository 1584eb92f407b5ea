"""The commands that must give the same before and after a refactoring."""

import dataclasses

RUN = "run"


@dataclasses.dataclass(frozen=True)
class Step:
    """One process.

    Attributes:
        words: Tuple of strings: a script of the project or of `tools/`, or
            `-m` and a module, and its arguments. `{tree}` in them is the
            folder of the project.
        folder: String, its working folder inside the folder of its command.
        kill_after: Integer, the number of checkpoints in the run folder after
            which it is killed; 0 for never.
    """

    words: tuple[str, ...]
    folder: str = "."
    kill_after: int = 0


@dataclasses.dataclass(frozen=True)
class Command:
    """Processes that run one after the other in one folder.

    Attributes:
        name: String.
        steps: Tuple of `Step`.
        after: String, the command whose folder it starts from a copy of.
        made_by_base: Integer, the number of first steps that only BASE runs;
            HEAD continues in a copy of their folder.
        files: Dict of relative path to the text of a file created first.
        left_out: Tuple of patterns of files that are not compared.
        equal: Tuple of two folders that must also be equal to one another,
            or empty.
    """

    name: str
    steps: tuple[Step, ...]
    after: str = ""
    made_by_base: int = 0
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    equal: tuple[str, ...] = ()


def train(*flags: str, folder: str = ".", kill_after: int = 0) -> Step:
    """Return a training of the run `run`, by default of two epochs."""
    words = ("--epochs=2", "--batch_size=100", *flags, f"--run_dir={RUN}")
    return Step(("train.py", *words), folder, kill_after)


def evaluate(*flags: str, folder: str = ".") -> Step:
    """Return an evaluation of the run `run`."""
    return Step(("evaluate.py", f"--run_dir={RUN}", *flags), folder)


def table_of_features() -> str:
    """Return a deterministic CSV file of three classes."""
    rows = ["width,height,kind"]
    for number in range(240):
        kind = number % 3
        width = (number * 37 % 101) / 50 + kind
        height = (number * 53 % 97) / 50 - kind
        rows.append(f"{width:.4f},{height:.4f},{'abc'[kind]}")
    return "\n".join(rows) + "\n"


MODEL_FILE = """\
import cb
import keras


@cb.models.REGISTRY.register("two_layers")
def two_layers(input_shape, num_classes, width=64):
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(width, "relu"),
            keras.layers.Dense(num_classes),
        ]
    )
"""

CONV = "--model=small_cnn(filters=(4, 8), units=16, dropout=0.2)"
NETWORK = "--model=fnn(blocks=(4,), width=12)"
DENSE = ("--sparsity=0", "--reallocation=static")
REGIME = (
    "--regime={0: {optimizer: sgd, learning_rate: 0.1, momentum: 0.9},"
    " 3: {optimizer: adam, learning_rate: 0.005}}"
)

# Every algorithm, combined with other options of a training.
ALGORITHMS = {
    "static": (
        "--sparsity=hidden*=0.9,logits=0.5",
        "--distribution=uniform",
        "--rounding=nearest",
        "--regularization=l1(1e-4)",
        "--optimizer=adam(beta_1=0.95)",
        "--learning_rate=0.003",
        "--dtype=mixed_bfloat16",
    ),
    "set": (
        "--reallocation=set(every=4, end=1.0)",
        "--validation_examples=100",
        "--limit_examples=800",
        "--learning_rate_schedule=constant",
    ),
    "rigl": (
        CONV,
        "--reallocation=rigl(every=4, end=1.0)",
        "--augmentation=pad_crop(1)|flip",
        "--weight_distance=20",
        "--checkpoint_every=1",
        "--epochs=3",
        "--evaluate_train",
        "--show_input",
    ),
    "snfs": ("--reallocation=snfs(every=4, end=1.0)", "--fold=2/5"),
    "deep_rewiring": ("--reallocation=deep_rewiring", "--seed=7"),
    "dynamic_sparse": (CONV, "--reallocation=dynamic_sparse(every=4)"),
    "discover_wirings": ("--reallocation=discover_wirings",),
    "magnitude_pruning": (
        "--reallocation=magnitude_pruning(every=4, end=0.8)",
        "--optimizer=lookahead('radam')",
        "--learning_rate=0.01",
    ),
    "snip": ("--reallocation=snip", "--exclude=logits"),
    "grasp": (CONV, "--reallocation=grasp"),
    "random": ("--reallocation=random", "--include=hidden*"),
    "constant_fan_in": ("--reallocation=constant_fan_in(every=4)",),
    "n_by_m": ("--reallocation=n_by_m(n=2, m=4)",),
    "top_kast": ("--reallocation=top_kast",),
}

# Other ways to train.
WAYS = {
    "ghost": (
        CONV,
        "--normalization=ghost(size=25)",
        "--reallocation=rigl(every=4)",
    ),
    "block": (
        "--granularity=block(rows=2, columns=2)",
        "--sparsity=0.8",
        "--reallocation=rigl(every=4)",
    ),
    "tied": (
        "--weight_sharing=tied(rescale_gradient=True)",
        "--reallocation=static",
    ),
    "csr": (
        "--kernels=csr(max_density=1.0, min_size=1000)",
        "--reallocation=rigl(every=4, end=1.0)",
        "--weight_distance=20",
    ),
    "two_replicas": (
        CONV,
        "--strategy=mirrored(devices=2)",
        "--reallocation=rigl(every=4, end=1.0)",
    ),
    "large_batch": (
        "--batch_size=200",
        "--gradient_accumulation=2",
        "--reference_batch_size=100",
        "--learning_rate_scaling=sqrt",
        "--regime_adaptation",
        "--warmup_epochs=1",
        "--global_clipnorm=1.0",
        "--label_smoothing=0.1",
        "--mixup=0.4",
        "--multiplicative_noise=0.3",
        "--reallocation=set(every=2)",
    ),
    "regime_of_the_model": (
        *DENSE,
        "--model=f1",
        "--regime=model",
        "--limit_examples=300",
    ),
    "auto_tune": (
        "--model=fnn(blocks=(12,), width=6)",
        *DENSE,
        "--optimizer=adam",
        "--learning_rate=0.003",
        "--auto_tune=auto_tune(checks=2, controls=('full', 'random'))",
    ),
}

RESUMED = (
    CONV,
    "--augmentation=pad_crop(1)|flip",
    "--reallocation=rigl(every=4, end=1.0)",
    "--epochs=8",
    "--save_every=3",
    "--weight_distance=20",
    REGIME,
)
OLD_RUN = (
    "--reallocation=snfs(every=4, end=1.0)",
    "--optimizer=radam",
    "--learning_rate=0.01",
    "--epochs=12",
    "--save_every=3",
)

EVALUATIONS = (
    Command("evaluate", (evaluate(),), after="rigl"),
    Command("evaluate_all", (evaluate("--checkpoint=all"),), after="rigl"),
    Command("profile", (evaluate("--profile"),), after="rigl"),
    Command("export_compact", (evaluate("--export=compact"),), after="rigl"),
    Command("export_sparse", (evaluate("--export=sparse"),), after="block"),
    Command(
        "initialize_from",
        (
            Step(
                (
                    "train.py",
                    f"--config={RUN}/config.json",
                    f"--initialize_from={RUN}:best",
                    "--set=reallocation.every=3",
                    "--epochs=1",
                    "--run_dir=second",
                )
            ),
        ),
        after="rigl",
    ),
    Command(
        "all_conflict_layers",
        (evaluate("--all_conflict_layers", "--published_columns"),),
        after="network",
    ),
    Command(
        "lesion",
        (evaluate("--lesion=lesion(blocks=2, draws=3)"),),
        after="network",
    ),
    Command(
        "plots",
        (
            Step(("-m", "cb.plots", f"RigL={RUN}", "second")),
            Step(("-m", "cb.plots", RUN, "--table")),
        ),
        after="initialize_from",
    ),
)

COMMANDS = (
    *(Command(name, (train(*f),)) for name, f in ALGORITHMS.items()),
    *(Command(name, (train(*f),)) for name, f in WAYS.items()),
    Command(
        "files_of_the_user",
        (
            train(
                "--dataset=csv(path='data.csv', label='kind')",
                "--model=model.py(width=16)",
            ),
        ),
        files={"data.csv": table_of_features(), "model.py": MODEL_FILE},
    ),
    Command(
        "network",
        (
            train(
                NETWORK,
                "--sparsity=0.3",
                "--reallocation=static",
                "--checkpoint_every=1",
            ),
        ),
    ),
    *EVALUATIONS,
    Command(
        "sweep",
        (
            Step(
                (
                    "tune.py",
                    "--epochs=1",
                    "--batch_size=500",
                    "--seed=3",
                    "--max_trials=3",
                    "--directory=sweep",
                )
            ),
        ),
        # A set that is written in any order, and a page with durations.
        left_out=("sweep/oracle/oracle.json", "sweep/report/index.html"),
    ),
    Command(
        "two_workers",
        (
            Step(
                (
                    "-m",
                    "cb.launch",
                    "--num_workers=2",
                    "{tree}/train.py",
                    *train("--reallocation=set(every=4)").words[1:],
                )
            ),
        ),
        # It contains the ports, which are chosen by the system.
        left_out=("run/config.json",),
    ),
    Command("python_api", (Step(("tools/python_api.py", "made")),)),
    Command(
        "resume_after_kill",
        (
            train(*RESUMED, folder="whole"),
            train(*RESUMED, folder="killed", kill_after=4),
            train(*RESUMED, folder="killed", kill_after=5),
            train(*RESUMED, folder="killed"),
        ),
        # The second last checkpoint depends on the moment of the kill.
        left_out=("killed/run/checkpoints/previous.npz",),
        equal=("whole", "killed"),
    ),
    Command(
        "old_run",
        (
            train(*OLD_RUN, kill_after=12),
            train(*OLD_RUN),
            evaluate("--checkpoint=last"),
            evaluate("--export=dense"),
        ),
        made_by_base=1,
    ),
    Command(
        "saved_objects",
        (
            Step(("tools/saved_objects.py", "save", "objects")),
            Step(("tools/saved_objects.py", "load", "objects", "loaded")),
        ),
        made_by_base=1,
        # Both sides load the files that BASE has written.
        left_out=("objects/*",),
    ),
)

BY_NAME = {command.name: command for command in COMMANDS}


def chain(command: Command) -> list[Command]:
    """Return a command after those that it depends on."""
    before = BY_NAME.get(command.after)
    return [*(chain(before) if before else []), command]
