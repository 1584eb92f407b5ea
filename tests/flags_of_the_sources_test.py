"""The page that maps the options of the sources to ours is true."""

import re
import shlex

import pytest
from absl import flags

from cb.config import Config
from cb.config import layered
from cb.training import assembly
from flags import training as _training  # noqa: F401
from tests.commands import ROOT

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
)


def sections():
    """Return the rows of each table, as lists of cells."""
    return [
        [
            [cell.strip() for cell in re.split(r"(?<!\)) ?\| ?(?!flip)", line)]
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
            files = (ROOT / "flags" / "evaluation.py", ROOT / "evaluate.py")
            text = "".join(file.read_text() for file in files)
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
