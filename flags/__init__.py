"""The command line: one file per concern, read once, at the edge."""

from absl import flags

from cb.config import Config
from cb.config import layered


def experiment() -> tuple[Config, dict[str, str]]:
    """Turn the parsed flags into a configuration.

    Returns:
        Tuple of a frozen `cb.config.Config` and a dict that says where each
        of its values came from.

    Raises:
        InputError: If a value is wrong.
    """
    values = flags.FLAGS
    given = {
        name: values[name].value
        for name in Config.__dataclass_fields__
        if values[name].present
    }
    return layered(values.config, given, values.set or [], values.schedule_file)
