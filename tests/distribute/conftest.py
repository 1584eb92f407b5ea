"""A training with two workers that nothing disturbs."""

import pytest

from tests.workers import train_two

# Statistics and dropout that each replica has for itself; an odd number of
# examples to validate on.
FLAGS = (
    "--model=small_cnn(filters=(4, 8), units=16, dropout=0.2)",
    "--normalization=ghost(size=16)",
    "--augmentation=pad_crop(1)|flip",
    "--reallocation=rigl(every=4, end=1.0)",
    "--validation_examples=143",
    "--evaluate_train",
    "--weight_distance=20",
    "--batch_size=128",
    "--epochs=6",
    "--save_every=3",
    "--print_every=1",
    "--run_dir=run",
)


@pytest.fixture(scope="session")
def convolutional():
    """Return the flags of a training of 60 steps."""
    return FLAGS


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """Train so with two workers; return the run folder."""
    return train_two(tmp_path_factory.mktemp("undisturbed"), FLAGS)
