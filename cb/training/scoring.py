"""Loss and accuracies of predictions."""

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
