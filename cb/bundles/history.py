"""Bundles of several layers over the time of a training. Pure."""

from collections.abc import Sequence

import numpy as np

# From no conflict to all classes in one bundle.
COLOURS = ((20, 20, 60), (40, 110, 160), (90, 200, 130), (250, 230, 60))
NOT_FINITE = (255, 0, 255)


def integral(entropies) -> np.ndarray:
    """Return the mean over the checks, which the papers call the integral.

    Args:
        entropies: Float array `(checks, layers)`.

    Returns:
        Float array `(layers,)`; NaN where a check was not finite.
    """
    return np.mean(np.asarray(entropies, np.float64), axis=0)


def long_form(
    checkpoints: Sequence[int], layers: Sequence[str], counts, entropies
) -> list[tuple[int, str, str, float]]:
    """List the numbers of all checks in long form.

    Args:
        checkpoints: Integers, optimizer steps of the checks.
        layers: Names of the layers.
        counts: Integer array `(checks, layers)`.
        entropies: Float array `(checks, layers)`.

    Returns:
        List of `(checkpoint, layer, name, value)`, where the names are
        `bundles`, `entropy` and `integral` (of the checks so far).
    """
    rows = []
    for check, checkpoint in enumerate(checkpoints):
        so_far = integral(entropies[: check + 1])
        for place, layer in enumerate(layers):
            values = {
                "bundles": int(counts[check][place]),
                "entropy": float(entropies[check][place]),
                "integral": float(so_far[place]),
            }
            rows += [(checkpoint, layer, *item) for item in values.items()]
    return rows


def heat_map(entropies, maximum: float) -> np.ndarray:
    """Draw entropy as colour, layers from top to bottom, time to the right.

    Args:
        entropies: Float array `(checks, layers)`.
        maximum: Float, entropy of the brightest colour.

    Returns:
        Uint8 array `(layers, checks, 3)`; entropies that are not finite are
        magenta.
    """
    values = np.asarray(entropies, np.float64).T
    finite = np.isfinite(values)
    scale = np.where(finite, values, 0.0) / max(maximum, 1e-12)
    places = np.clip(scale, 0.0, 1.0) * (len(COLOURS) - 1)
    levels = np.arange(len(COLOURS))
    channels = [
        np.interp(places, levels, channel)
        for channel in zip(*COLOURS, strict=True)
    ]
    image = np.stack(channels, axis=-1)
    image[~finite] = NOT_FINITE
    return image.round().astype(np.uint8)
