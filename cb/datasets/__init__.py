"""The data sets, one file per family, registered by name."""

from cb.registry import Registry
from cb.registry import Spec
from cb.registry import parse_spec
from cb.registry import unknown

REGISTRY = Registry("data set", __name__, given=("data_dir",))

# Keywords that came later. They are written out only where they differ from
# their default, so that the same command finds the folder of an earlier run.
LATER = {
    "csv": (
        *("sep", "encoding", "decimal", "header", "skipinitialspace"),
        *("keep_default_na", "missing", "separator"),
    ),
    "tfds": ("missing",),
}

names = REGISTRY.names


def load(spec, data_dir=None):
    """Load a data set into memory.

    Args:
        spec: Spec string such as `"mnist"`.
        data_dir: String, folder of prepared data, or `None` for the default.

    Returns:
        A `cb.datasets.dataset_splits.DatasetSplits`.

    Raises:
        InputError: If the name is unknown, or the data are not there.
    """
    return REGISTRY.build(_known(parse_spec(spec)), data_dir=data_dir)


def complete(spec) -> Spec:
    """Return the spec with its defaults written out.

    A name of TensorFlow Datasets that is none of ours becomes
    `tfds(name=...)`.

    Args:
        spec: Spec string or `Spec`.

    Returns:
        A `Spec`.

    Raises:
        InputError: If the name or a keyword is unknown.
    """
    spec = REGISTRY.complete(_known(parse_spec(spec)))
    parameters = REGISTRY.parameters(spec.name)
    unsaid = {
        name
        for name in LATER.get(spec.name, ())
        if spec.kwargs[name] == parameters[name].default
    }
    kwargs = {k: v for k, v in spec.kwargs.items() if k not in unsaid}
    return Spec(spec.name, (), kwargs)


def _known(spec: Spec) -> Spec:
    if spec.name in names():
        return spec
    from cb.datasets import tfds_loading  # TFDS takes seconds to import.

    if spec.name in tfds_loading.known():
        return Spec("tfds", (spec.name, *spec.args), spec.kwargs)
    known = names()
    raise unknown("data set (none of TFDS either)", spec.name, known)
