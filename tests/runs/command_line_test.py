import shlex

import pytest

from cb.config import Config
from cb.config import checked
from cb.config import layered
from cb.runs.command_line import command_line
from cb.training import regime


def test_the_command_has_the_configuration_again():
    config = Config(
        run_dir="runs/a",
        model="mlp(units=(3, 4))",
        reallocation="set(every=3, decay='cosine')",
        sparsity=0.123456789012345678,
        include=["dense_*", "conv_?"],
        fold="2/5",
        learning_rate=1e-5,
        epochs=2,
    )
    python, script, *flags = shlex.split(command_line(config))
    assert (python, script) == ("python", "train.py")
    # Absl reads numbers before they get here; `--set` reads them as well.
    given = [flag.removeprefix("--") for flag in flags]
    again, _ = layered(None, {"run_dir": "runs/a"}, given)
    assert again == config


@pytest.mark.parametrize(
    "flags",
    [
        {"regime": "model"},
        {"regime": "model", "learning_rate": 0.5},
        {"regime": "model", "learning_rate_schedule": "cosine"},
        {"regime": "model", "learning_rate_schedule": "constant"},
        {"regime": "{0: {learning_rate: 0.1}, 3: {learning_rate: 0.01}}"},
    ],
)
def test_the_command_of_a_regime_has_its_learning_rates(flags):
    given = {"model": "lenet_300_100", "run_dir": "runs/a", **flags}
    config, _ = regime.applied(*layered(None, given, []))
    _, _, *words = shlex.split(command_line(config))
    words = [word.removeprefix("--") for word in words]
    texts = dict(word.split("=", 1) for word in words)
    values = {name: checked(name, text) for name, text in texts.items()}
    again = layered(None, {**values, "run_dir": "runs/a"}, [])
    assert regime.applied(*again)[0] == config
