"""Specs, names and keywords."""

import subprocess
import sys

import pytest

from cb.errors import InputError
from cb.registry import Registry
from cb.registry import Spec
from cb.registry import bind
from cb.registry import parse_spec
from cb.registry import registered_names
from cb.sparsity import reallocation
from tests.commands import ROOT


def part(size, rate=0.5, name="x"):
    return size, rate, name


@pytest.mark.parametrize(
    "text, spec",
    [
        ("rigl", Spec("rigl")),
        ("l1(1e-5)", Spec("l1", (1e-5,))),
        ("mlp(units=(300, 100))", Spec("mlp", (), {"units": (300, 100)})),
        (" a ( b = 'c|d(e)' ) ", Spec("a", (), {"b": "c|d(e)"})),
    ],
)
def test_reads_a_spec(text, spec):
    assert parse_spec(text) == spec


@pytest.mark.parametrize("text", ["rigl(drop_fraction=0.3)", "a(1, b='x')"])
def test_a_spec_written_out_reads_back(text):
    assert str(parse_spec(text)) == text
    assert parse_spec(str(parse_spec(text))) == parse_spec(text)


@pytest.mark.parametrize(
    "text", ["", "rigl(", "a.b()", "f(x=open('y'))", "f(**{})", "f(x)", "1+1"]
)
def test_refuses_what_is_no_spec(text):
    with pytest.raises(InputError, match="Malformed spec"):
        parse_spec(text)


def test_binds_positions_and_keywords():
    values = bind(part, parse_spec("part(3, name='y')"), "part")
    assert values == {"size": 3, "name": "y"}


@pytest.mark.parametrize(
    "text, message",
    [
        ("part(sise=3)", "Did you mean 'size'"),
        ("part(1, size=3)", "given twice"),
        ("part(1, 2, 3, 4)", "Too many"),
        ("part(rate=1)", r"Missing arguments .*\['size'\]"),
    ],
)
def test_says_what_is_wrong_with_arguments(text, message):
    with pytest.raises(InputError, match=message):
        bind(part, parse_spec(text), "part")


def test_unknown_names_list_the_known_and_the_nearest():
    with pytest.raises(InputError, match="'rigl'.*'set'.*Did you mean 'rigl'"):
        reallocation.build("riglx")


def test_completes_a_spec_with_its_defaults():
    spec = parse_spec(str(reallocation.REGISTRY.complete("rigl(every=7)")))
    assert spec.kwargs["every"] == 7
    assert spec.kwargs["drop_fraction"] == 0.3


def test_the_refusal_of_a_library_names_the_spec():
    registry = Registry("thing", "cb.nothing")

    @registry.register("broken")
    def broken(size=1):
        raise ValueError(f"size {size} is bad")

    with pytest.raises(InputError, match=r"`broken\(size=2\)`.*size 2 is bad"):
        registry.build("broken(size=2)")


def test_names_are_read_without_importing_the_modules():
    code = (
        "import sys; from cb.registry import registered_names;"
        "names = registered_names('cb.models');"
        "assert 'lenet_300_100' in names, names;"
        "assert 'tensorflow' not in sys.modules;"
        "assert 'keras' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_module_with_its_own_registry_is_not_scanned_for_another():
    assert "flip" not in registered_names("cb.datasets")
    assert "flip" in registered_names("cb.datasets.augmentation")


def test_a_changed_spec_has_another_value_of_one_keyword():
    spec = parse_spec("resnet(stages=(2, 3), width=1)")
    assert str(spec.changed("width", 2)) == "resnet(stages=(2, 3), width=2)"
    assert spec.changed("stages.1", 4).kwargs["stages"] == (2, 4)
    for path in ("stages.2", "width.0", "stages.x"):
        with pytest.raises(InputError, match="must have a value in place"):
            spec.changed(path, 1)
