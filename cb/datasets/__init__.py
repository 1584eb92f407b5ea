"""The data sets, one file per family, registered by name."""

from cb.registry import Registry

REGISTRY = Registry("data set", __name__, given=("data_dir",))

names = REGISTRY.names


def load(spec, data_dir=None):
    """Load a data set into memory.

    Args:
        spec: Spec string such as `"mnist"`.
        data_dir: String, folder of prepared data, or `None` for the default.

    Returns:
        A `cb.datasets.source.Source`.

    Raises:
        InputError: If the name is unknown, or the data are not there.
    """
    return REGISTRY.build(spec, data_dir=data_dir)
