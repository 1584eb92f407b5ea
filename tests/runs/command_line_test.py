import shlex

from cb.config import Config
from cb.config import layered
from cb.runs.command_line import command_line


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
