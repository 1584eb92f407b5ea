"""Score checkpoints of a run, or a SavedModel, on every test example.

With --all_conflict_layers or --conflicting_samples_size also measure at
which layers training examples of several classes share a bundle.
"""

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
    conflicts = evaluation.conflicts()
    if values.saved_model and conflicts:
        raise InputError("Conflicting layers are those of a `--run_dir`.")
    with quiet_stderr():
        from cb.conflicts import evaluate_conflicts
        from cb.evaluation import attempt_folder
        from cb.evaluation import evaluate_run
        from cb.evaluation import evaluate_saved_model
    if values.saved_model:
        evaluate_saved_model(
            values.saved_model,
            values.dataset,
            values.data_dir,
            values.batch_size,
        )
        return
    evaluate = evaluate_conflicts if conflicts else evaluate_run
    evaluate(
        attempt_folder(values.run_dir, values.attempt),
        values.checkpoint or ("all" if conflicts else "last"),
        values.data_dir,
        values.strategy,
        **conflicts,
    )


if __name__ == "__main__":
    command.run(main, [evaluation])
