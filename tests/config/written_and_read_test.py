"""Every value that a flag can have comes back from the files we write."""

import contextlib
import json
import shlex
import typing
from typing import Annotated
from typing import Literal

import numpy as np
import pytest

from cb.config import ANNOTATIONS
from cb.config import METADATA
from cb.config import Config
from cb.config import checked
from cb.config import is_explicit
from cb.config import layered
from cb.config import read_file
from cb.errors import InputError
from cb.registry import Spec
from cb.runs.command_line import command_line
from cb.runs.directory import RunDirectory

# Letters that a reader or a shell might take for something else.
LETTERS = [*"abcXYZ019 _-+.,:;#%&*?!|=~$@/\\'\"()[]{}<>\t\n\r\x07"]
LETTERS += [*"é\u00a0\u2028\ufeff\U0001f600\udce9"]
WORDS = ["1e-5", "null", "no", "12:30", "010", "nan", "~", "- a", "a: b", "# a"]


def text(generator):
    if generator.random() < 0.2:
        return str(generator.choice(WORDS))
    number = generator.integers(1, 12)
    return "".join(
        LETTERS[i] for i in generator.integers(len(LETTERS), size=number)
    )


def number(generator, kind):
    if kind is int:
        return int(generator.integers(0, 2 ** generator.integers(1, 62)))
    exponent = generator.uniform(-320, 300)
    return float(generator.choice([10**exponent, generator.random(), 0.0, 0.1]))


def literal(generator):
    kinds = [
        lambda: number(generator, int),
        lambda: -number(generator, float),
        lambda: text(generator),
        lambda: None,
        lambda: True,
        lambda: (1e-5, text(generator)),
        lambda: {0: 1e-5, text(generator): [2]},
    ]
    return kinds[generator.integers(len(kinds))]()


def spec(generator):
    values = {f"k{n}": literal(generator) for n in range(generator.integers(3))}
    name = ["rigl", "my models/ü (2).py"][generator.integers(2)]
    return str(Spec(name, (), values))


def drawn(annotation, generator):
    """Draw a value that an annotation may allow."""
    origin, arguments = (
        typing.get_origin(annotation),
        typing.get_args(annotation),
    )
    if origin is Annotated:
        return drawn(arguments[0], generator)
    if origin is Literal:
        return arguments[generator.integers(len(arguments))]
    if origin is list:
        # A comma separates items on a command line.
        items = [text(generator).replace(",", "") for _ in range(3)]
        return [item.strip() for item in items if item.strip()] or ["a"]
    if arguments:
        return drawn(arguments[generator.integers(len(arguments))], generator)
    if annotation is bool:
        return bool(generator.integers(2))
    if annotation in (int, float):
        return number(generator, annotation)
    return text(generator) if annotation is str else None


def drawn_value(name, generator):
    """Draw a value of a field until it is a good one."""
    while True:
        value = drawn(ANNOTATIONS[name], generator)
        if METADATA[name].spec:
            value = spec(generator)
        elif name == "sparsity":
            value = ["0.5", "conv=1e-5,*é*=0.98"][generator.integers(2)]
        with contextlib.suppress(InputError):
            return checked(name, value)


@pytest.fixture(params=range(40))
def config(request):
    generator = np.random.default_rng(request.param)
    values = {
        name: drawn_value(name, generator)
        for name, metadata in METADATA.items()
        # Others are asked of one start alone.
        if metadata.kept
    }
    values["epochs"] += values["initial_epoch"]
    return Config(**values)


def test_config_json_holds_every_value(config, tmp_path):
    run = RunDirectory(str(tmp_path / "run"))
    run.write_config(config, {})
    # By their texts, as 1 and 1.0 are equal.
    assert repr(run.read_config()) == repr(config)


def test_what_was_set_inside_of_a_spec_stays_given(tmp_path):
    first = layered(None, {}, ["learning_rate_schedule.warmup='2ep'"])
    run = RunDirectory(str(tmp_path / "run"))
    run.write_config(*first)
    again = layered(str(run.config_file), {}, [])
    assert again[0] == first[0]
    for _, sources in (first, again):
        assert is_explicit("learning_rate_schedule", sources)
        assert not is_explicit("reallocation", sources)


def test_yaml_holds_every_value(config, tmp_path):
    file = tmp_path / "run.yaml"
    lines = []
    for name, value in config.as_dict().items():
        written = json.dumps(value)
        lines.append(f"{name}: {written}  # as in JSON\n")
    file.write_text("".join(lines), "utf-8")
    assert repr(Config(**read_file(str(file)))) == repr(config)


def test_the_command_that_repeats_a_run_holds_every_value(config):
    script, *words = shlex.split(command_line(config))[1:]
    assert script == "train.py"
    given = dict(word.removeprefix("--").split("=", 1) for word in words)
    values = {name: checked(name, text) for name, text in given.items()}
    here = {"run_dir": config.run_dir, "name": config.name}
    assert repr(Config(**values, **here)) == repr(config)
