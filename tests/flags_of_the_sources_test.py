"""The page that maps the options of the sources to ours is true."""

import dataclasses
import fnmatch
import re
import shlex

import keras
import numpy as np
import pytest
from absl import flags

from cb.config import Config
from cb.config import layered
from cb.training import assembly
from experiments.published import by_name
from flags import training as _training  # noqa: F401
from tests.commands import ROOT
from tests.commands import run
from tests.experiments_test import write_images

PAGE = ROOT / "docs" / "flags_of_the_sources.md"
# As the sources have them, in the order of the sections of the page.
THEIRS = (
    """--epochs --start-epoch --model --batch-size --learning-rate --momentum
    --nesterov --weight-decay --L1-loss-coeff --print-freq --layers
    --start-pruning-after-epoch --prune-epoch-frequency
    --prune-target-sparsity-fc --prune-target-sparsity-conv
    --prune-iterations --post-prune-epochs --n-prune-params --threshold-prune
    --prune --validate-set --rewire-scaling --tied --rescale-tied-gradient
    --rewire --no-validate-train --DeepR --DeepR_eta --stop-rewire-epoch
    --no-batch-norm --rewire-fraction --sub-kernel-granularity
    --cubic-prune-schedule --sparse-resnet-downsample --conv-group-lasso
    --big-new-weights --widen-factor --initial-sparsity-conv
    --initial-sparsity-fc --job-idx --no-augment --data --workers
    --copy-mask-from --resume --schedule-file --name""",
    """--results_dir --save --dataset --model --input_size --model_config --type
    --gpus --workers --epochs --start-epoch --batch-size --mini-batch-size
    --lr_bb_fix --regime_bb_fix --optimizer --lr --momentum --weight-decay
    --print-freq --resume --evaluate""",
    """--log_dir --dataset --runs --epochs --batch_size --learning_rate --dtype
    --model --num_layers --width_layers --last_epoch_only
    --conflicting_samples_size --all_conflict_layers""",
    """experiment seed n_workers use_seeds use_instances output_dir dataset
    experiment_type optimization_path architecture budget hyperparameters
    algorithm sparsity sparsity_distribution update_freq update_end
    num_mlp_layers size_first_mlp_layer size_middle_mlp_layer
    size_last_mlp_layer conv_stage_1 conv_stage_2 conv_stage_3 conv_stage_4
    learning_rate learning_rate_scheduler momentum weight_decay use_dropout
    dropout use_label_smoothing label_smoothing batch_size epochs""",
    """data --data-backend --arch --model-config --workers --epochs
    --start-epoch --batch-size --optimizer-batch-size --lr --lr-schedule
    --warmup --label-smoothing --mixup --momentum --weight-decay
    --bn-weight-decay --nesterov --print-freq --resume --pretrained-weights
    --fp16 --static-loss-scale --dynamic-loss-scale --prof --amp --local_rank
    --seed --gather-checkpoints --raport-file --final-weights --evaluate
    --training-only --no-checkpoints --workspace""",
)


def sections():
    """Return the rows of each table, as lists of cells."""
    return [
        [
            [
                cell.strip().replace("\\|", "|")
                for cell in re.split(r"(?<!\\)\|", line)
            ]
            for line in part.splitlines()
            if line.startswith("| `")
        ]
        for part in PAGE.read_text().split("\n## ")[1:]
    ]


@pytest.mark.parametrize("place", range(len(THEIRS)))
def test_every_option_has_one_row(place):
    found = [row[1].strip("`") for row in sections()[place]]
    for option in THEIRS[place].split():
        rows = [text for text in found if option in re.split("[ /]+", text)]
        assert len(rows) == 1, option
    assert len(found) == len(THEIRS[place].split())


@pytest.mark.parametrize("place", range(len(THEIRS)))
def test_every_flag_of_ours_takes_the_value(place):
    for _, theirs, ours, remarks, _ in sections()[place]:
        words = shlex.split(ours.strip("`"))
        if not words:
            assert remarks.startswith("gone"), theirs
            continue
        if words[0] == "evaluate.py":
            files = ("evaluation.py", "commands/evaluate.py")
            texts = [(ROOT / "flags" / file).read_text() for file in files]
            text = "".join(texts)
            for word in words[1:]:
                assert f'"{word[2:].partition("=")[0]}"' in text, ours
            continue
        values = {}
        for word in words:
            name, _, value = word.removeprefix("--").partition("=")
            if name == "flagfile":
                assert (ROOT / value).is_file()
                continue
            values[name] = flags.FLAGS[name].parser.parse(value)
        given = {key: values[key] for key in values if key in _fields()}
        assembly.completed(layered(None, given, [])[0])
        assert set(values) - set(given) <= {"schedule_file"}, ours


def _fields():
    return Config.__dataclass_fields__


def whole_commands():
    """Return pairs of a command of a source and ours, as lists of words."""
    part = PAGE.read_text().split("## Whole commands")[1]
    blocks = part.split("```")[1].strip().split("\n\n")
    pairs = [block.split("\n", 1) for block in blocks]
    return [
        (
            shlex.split(theirs.removeprefix("# theirs: "))[1:],
            shlex.split(ours.replace("\\\n", " "))[1:],
        )
        for theirs, ours in pairs
    ]


SOURCES = {"dynamic_sparse", "big_batch", "bundles", "autosparse", "wirings"}
# Short names of options, as the sources define them.
SHORT = {"-b": "--batch-size", "-c": "--model-config", "-p": "--print-freq"}
SHORT["--wd"] = "--weight-decay"
PARTS = {"main_normal.py": 1, "main_gbn.py": 1}


def devices(words):
    """Return the number of processes that a command starts."""
    return int(words[2]) if words[0] == "multiproc.py" else 1


def of_theirs(words):
    """Return the place of the program among `THEIRS`, and its options."""
    program, *rest = words[3:] if words[0] == "multiproc.py" else words
    place = PARTS.get(program, 2 if program != "main.py" else 0)
    if any(word.startswith("experiment") for word in rest):
        pairs = [word.split("=") for word in rest]
        return 3, {name.rpartition(".")[2]: value for name, value in pairs}
    if "--arch" in rest:
        place = 4
    options, name = {}, "data"
    for word in rest:
        if word.startswith("-"):
            name = SHORT.get(word, word)
            options[name] = True
        else:
            options[name], name = word, "data"
    return place, options


def config_of(words):
    values = {}
    for word in words[1:]:
        name, _, value = word.removeprefix("--").partition("=")
        values[name] = flags.FLAGS[name].parser.parse(value or "true")
    schedule = values.pop("schedule_file", None)
    schedule = schedule and str(ROOT / schedule)
    return layered(None, values, [], schedule)


def test_whole_commands_agree_with_those_of_the_sources():
    programs = set()
    for theirs, ours in whole_commands():
        place, options = of_theirs(theirs)
        script = next(word for word in theirs if word.endswith(".py"))
        programs.add((place, script))
        for option in options:
            known = THEIRS[place].split()
            turned_off = f"--{option.removeprefix('--no-')}"
            assert option in known or turned_off in known
        if ours[0] != "train.py":
            continue
        config, _ = assembly.resolve(*config_of(ours))
        batch = options.get("--batch-size") or options.get("--batch_size")
        if batch:
            assert config.batch_size == int(batch) * devices(theirs)
        if "--epochs" in options:
            assert config.epochs == int(options["--epochs"])
        for name in ("fc", "conv"):
            sparsity = options.get(f"--initial-sparsity-{name}")
            if sparsity:
                assert config.sparsity == float(sparsity)
        decay = options.get("--weight-decay")
        if decay and float(decay):
            by_regime = "--regime=model" in ours
            used = config.regime if by_regime else config.optimizer
            numbers = re.findall(r"weight_decay[=:] ?([\d.e-]+)", used)
            assert {float(n) for n in numbers} == {float(decay)}
        clipped = config.global_clipnorm == 5
        assert clipped == (place == 1)
    assert programs == {
        (0, "main.py"),
        (1, "main_normal.py"),
        (1, "main_gbn.py"),
        *((2, f"{name}.py") for name in ("train", "evaluate")),
        *((2, f"{name}.py") for name in ("auto_tune", "lesion")),
        (3, "main.py"),
        (4, "multiproc.py"),
        (4, "main.py"),
    }


def test_every_flagfile_of_the_sources_is_an_example_of_theirs():
    table = PAGE.read_text().split("| examples of theirs")[1]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    patterns = []
    for row in rows:
        ours = row.split("|")[2]
        for name in re.findall(r"`(\w+/[^`]+)`", ours):
            # `N` is a number or, like `NAME`, stands for a word.
            patterns.append(re.sub(r"\bN(AME)?|_N_", "*", name))
    folders = {pattern.partition("/")[0] for pattern in patterns}
    known = [name for name in by_name() if name.partition("/")[0] in folders]
    assert folders == SOURCES
    for pattern in patterns:
        assert fnmatch.filter(known, pattern), pattern
    for name in known:
        assert any(fnmatch.fnmatch(name, one) for one in patterns), name


def test_the_experiment_as_published_is_the_command_of_the_source():
    (ours,) = [
        ours for theirs, ours in whole_commands() if "mnist_f1" in theirs
    ]
    experiment = by_name()["big_batch/f1_gbn_published"]
    config, _ = config_of(ours)
    expected, _ = layered(None, dict(experiment.flags), [])
    assert config == dataclasses.replace(expected, run_dir=config.run_dir)


# What makes a command small: other values of the same flags.
SMALLER = {
    "fnn(blocks=50, width=10)": "fnn(blocks=3, width=64)",
    "lesion": "lesion(blocks=1, draws=1)",
    "wide_resnet(depth=28, width=2)": "wide_resnet(depth=10, width=1)",
    "resnet44": "resnet44(depth=8)",
    "bundle_vgg(depth=120)": "bundle_vgg(depth=4)",
    "resnet50(config='ignorefirst10')": "resnet18(config='ignorefirst10')",
    "resnet50": "resnet18",
}
SHRUNK = {
    "magnitude_pruning": ["iterations=1", "post_epochs=1"],
    "auto_tune": ["num_samples=8", "tolerance=9"],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Write a few images of each data set that the commands name."""
    folder = tmp_path_factory.mktemp("sources")
    write_images(folder / "data", "mnist", "3.0.1", (28, 28, 1))
    write_images(folder / "data", "cifar10", "3.0.2", (32, 32, 3))
    random = np.random.default_rng(0)
    for part in ("train", "val"):
        for name in "ab":
            images = folder / "imagenet" / part / name
            images.mkdir(parents=True)
            for number in range(8):
                keras.utils.save_img(
                    images / f"{number}.png",
                    random.integers(0, 256, (260, 260, 3)),
                    scale=False,
                )
    return folder


def small(words, data, run_dir):
    """Return the flags of a command that trains for some steps only."""
    found = [f"--data_dir={data / 'data'}", "--strategy=none"]
    for word in words[1:]:
        name, _, value = word.removeprefix("--").partition("=")
        if name == "run_dir":
            continue
        for old, new in (
            ("/data/imagenet", str(data / "imagenet")),
            ("DENSE", str(run_dir.parent / "dense")),
        ):
            value = value.replace(old, new)
        if name == "model":
            value = SMALLER.get(value, value)
        found.append(f"--{name}={value}" if value else f"--{name}")
        for part, changes in SHRUNK.items():
            if value.startswith(f"{part}("):
                found += [f"--set={name}.{change}" for change in changes]
    return [
        *found,
        "--epochs=1",
        "--batch_size=4",
        "--limit_examples=12",
        f"--run_dir={run_dir}",
    ]


DENSE = [
    "train.py",
    "--dataset=mnist",
    "--model=mnist_mlp",
    "--sparsity=0",
    "--reallocation=static",
    "--validation_fraction=0",
]


def of_one_run():
    """Return lists of commands of ours: a training and what measures it."""
    found = []
    for _, ours in whole_commands():
        if ours[0] == "train.py":
            found.append([])
        found[-1].append(ours)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("commands", of_one_run())
def test_whole_commands_train(commands, data, tmp_path):
    run_dir = tmp_path / "run"
    trainings = [(commands[0], run_dir)]
    if "--initialize_from=DENSE" in commands[0]:
        trainings.insert(0, (DENSE, tmp_path / "dense"))
    for words, folder in trainings:
        succeeds("train.py", small(words, data, folder))
        assert (folder / "summary.json").is_file()
    for words in commands[1:]:
        given = [word.replace("RUN", str(run_dir)) for word in words[1:]]
        given = [
            word.replace("=lesion", f"={SMALLER['lesion']}") for word in given
        ]
        given.append("--strategy=none")
        if "--profile" not in given:
            given.append("--conflicting_samples_size=8")
        succeeds(words[0], given)


def succeeds(script, given):
    code, _, errors = run(script, *given, folder=ROOT)
    assert code == 0, (given, errors)
