"""Image data sets of TensorFlow Datasets, as their sources used them."""

from cb.datasets import REGISTRY
from cb.datasets import preparation
from cb.datasets.dataset_splits import DatasetSplits


@REGISTRY.register("mnist")
def mnist(data_dir: str | None = None) -> DatasetSplits:
    """Load 70,000 handwritten digits, 28x28x1."""
    return _load("mnist", data_dir, preparation.MNIST)


@REGISTRY.register("fashion_mnist")
def fashion_mnist(data_dir: str | None = None) -> DatasetSplits:
    """Load 70,000 pieces of clothing, 28x28x1."""
    return _load("fashion_mnist", data_dir, preparation.FASHION)


@REGISTRY.register("cifar10")
def cifar10(data_dir: str | None = None) -> DatasetSplits:
    """Load 60,000 photographs of ten classes, 32x32x3."""
    return _load("cifar10", data_dir, preparation.CIFAR)


@REGISTRY.register("cifar100")
def cifar100(data_dir: str | None = None) -> DatasetSplits:
    """Load 60,000 photographs of a hundred classes, 32x32x3."""
    return _load("cifar100", data_dir, preparation.CIFAR)


@REGISTRY.register("svhn_cropped")
def svhn_cropped(data_dir: str | None = None) -> DatasetSplits:
    """Load 99,289 house numbers, 32x32x3; not the easy `extra` ones."""
    return _load("svhn_cropped", data_dir, preparation.SVHN)


@REGISTRY.register("stl10")
def stl10(data_dir: str | None = None) -> DatasetSplits:
    """Load 5,000 + 8,000 labelled photographs of ten classes, 96x96x3."""
    return _load("stl10", data_dir, preparation.STL10)


@REGISTRY.register("imagenette")
def imagenette(data_dir: str | None = None) -> DatasetSplits:
    """Load 9,469 + 3,925 photographs of ten classes, of any size.

    They stay on disk. The split `validation` is the test part.
    """
    return _load("imagenette", data_dir, preparation.LARGE)


@REGISTRY.register("imagenet2012")
def imagenet2012(data_dir: str | None = None) -> DatasetSplits:
    """Load 1,281,167 + 50,000 photographs of 1,000 classes, of any size.

    They stay on disk. The split `validation` is the test part, as the labels
    of `test` are not public.
    """
    return _load("imagenet2012", data_dir, preparation.LARGE, test="validation")


def _load(name, data_dir, preparations, **splits) -> DatasetSplits:
    # It imports TensorFlow Datasets, which takes seconds.
    from cb.datasets import tfds_loading

    return tfds_loading.load(
        name, data_dir, preparations=preparations, **splits
    )
