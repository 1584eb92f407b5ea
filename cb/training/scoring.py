"""Loss and accuracies of predictions."""

from collections.abc import Mapping

import keras
import numpy as np

from cb.training import compilation


def score(outputs: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return loss and accuracies of predictions.

    Args:
        outputs: Float array `(examples, classes)`, logits or probabilities.
        labels: Integer array `(examples,)`.

    Returns:
        Dict of metric to value.
    """
    sums = outputs.sum(axis=1, dtype=np.float64)
    probabilities = bool(
        np.all(outputs >= 0) and np.allclose(sums, 1.0, atol=1e-3)
    )
    losses = keras.losses.sparse_categorical_crossentropy(
        labels, outputs, from_logits=not probabilities
    )
    scores = {
        "accuracy": float(np.mean(outputs.argmax(axis=1) == labels)),
        "loss": float(np.mean(losses, dtype=np.float64)),
    }
    if outputs.shape[1] > compilation.TOP:
        hits = keras.metrics.sparse_top_k_categorical_accuracy(
            labels, outputs, k=compilation.TOP
        )
        scores[f"top_{compilation.TOP}_accuracy"] = float(np.mean(hits))
    return scores


def score_parts(scores: Mapping[str, float], classes: int | None) -> list[str]:
    """Return scores as texts to print.

    Args:
        scores: Dict of metric to value.
        classes: Integer, the number of classes, or `None` if it is not known.
            Among few, nearly all labels are among the five likeliest.

    Returns:
        List of strings such as `"accuracy 0.9500"`.
    """
    top = f"top_{compilation.TOP}_accuracy"
    telling = classes is None or classes > 2 * compilation.TOP
    return [
        f"{name} {scores[name]:.4f}"
        for name in sorted(scores)
        if name != top or telling
    ]
