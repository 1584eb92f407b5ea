"""Score checkpoints of a run, or a SavedModel, on every test example.

--all_conflict_layers and --conflicting_samples_size measure which layers map
examples of several classes to one point; --lesion leaves out some blocks,
--profile says what the model costs, --export what a SavedModel of it gains.
"""

from absl import flags as absl_flags

from flags import command
from flags import evaluation
from flags.quiet import quiet_stderr


def main():
    """Evaluate what the flags name."""
    evaluation.check()
    values = absl_flags.FLAGS
    conflicts = evaluation.conflicts()
    with quiet_stderr():
        from cb.evaluation.checkpoints import attempt_folder
        from cb.evaluation.checkpoints import evaluate_run
        from cb.evaluation.conflicts import evaluate_conflicts
        from cb.evaluation.export import export_run
        from cb.evaluation.lesion import evaluate_lesion
        from cb.evaluation.profile import evaluate_profile
        from cb.evaluation.saved_model import evaluate_saved_model
    if values.saved_model:
        evaluate_saved_model(
            values.saved_model,
            values.dataset,
            values.data_dir,
            values.batch_size,
            values.augmentation,
        )
        return
    if values.lesion:
        evaluate, default = evaluate_lesion, "last"
        conflicts["study"] = values.lesion
    elif values.export:
        evaluate, default = export_run, "last"
        conflicts = evaluation.export()
    elif conflicts:
        evaluate, default = evaluate_conflicts, "all"
    elif values.profile:
        evaluate, default = evaluate_profile, "last"
    else:
        evaluate, default = evaluate_run, "last"
    evaluate(
        attempt_folder(values.run_dir, values.attempt),
        values.checkpoint or default,
        values.data_dir,
        values.strategy,
        **conflicts,
    )


if __name__ == "__main__":
    command.run(main, [evaluation])
