"""Score a checkpoint of a run, or a SavedModel, on every test example."""

from absl import flags as absl_flags

from cb.errors import InputError
from flags import command
from flags import evaluation
from flags.quiet import quiet_stderr


def main():
    """Evaluate what the flags name."""
    values = absl_flags.FLAGS
    if (values.run_dir is None) == (values.saved_model is None):
        raise InputError("Expected either `--run_dir` or `--saved_model`.")
    if values.saved_model and not values.dataset:
        raise InputError("Argument `saved_model` needs `--dataset`.")
    with quiet_stderr():
        from cb.evaluation import evaluate_run
        from cb.evaluation import evaluate_saved_model
    if values.run_dir:
        evaluate_run(
            values.run_dir,
            values.checkpoint,
            values.data_dir,
            values.strategy,
        )
    else:
        evaluate_saved_model(
            values.saved_model,
            values.dataset,
            values.data_dir,
            values.batch_size,
        )


if __name__ == "__main__":
    command.run(main, [evaluation])
