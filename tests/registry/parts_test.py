"""Specs, names and keywords."""

import inspect
import subprocess
from typing import Annotated

import pytest

from cb.errors import InputError
from cb.registry import Interval
from cb.registry import Registry
from cb.registry import Spec
from cb.registry import accepted
from cb.registry import bind
from cb.registry import check_arguments
from cb.registry import parse_spec
from cb.registry import registered_names
from cb.registry import unknown
from cb.sparsity import reallocation
from tests.commands import run_code


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


@pytest.mark.slow
def test_names_are_read_without_importing_the_modules():
    code = (
        "import sys; from cb.registry import registered_names;"
        "names = registered_names('cb.models');"
        "assert 'lenet_300_100' in names, names;"
        "assert 'tensorflow' not in sys.modules;"
        "assert 'keras' not in sys.modules"
    )
    run_code(code)


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


@pytest.mark.parametrize(
    "name, nearest",
    [("ERK", "erk"), ("SET", "set"), ("cifar-10", "cifar10"), ("Fnn", "fnn")],
)
def test_suggestions_ignore_case_and_hyphens(name, nearest):
    known = ["erk", "set", "cifar10", "cifar100", "fnn", "static"]
    error = unknown("thing", name, known)
    assert str(error).endswith(f"Received: {name!r}. Did you mean {nearest!r}?")


def test_a_name_with_hyphens_is_a_name():
    assert parse_spec("cifar-10(size=3)") == Spec("cifar-10", (), {"size": 3})


def test_checks_every_value_against_its_annotation():
    def typed(width: Annotated[int, Interval("[1, inf)")], *, loose=None):
        return width, loose

    assert bind(typed, parse_spec("typed(3)"), "model") == {"width": 3}
    assert bind(typed, parse_spec("typed(3, loose='x')"), "model")
    with pytest.raises(InputError) as error:
        bind(typed, parse_spec("typed(width=True)"), "model")
    assert str(error.value) == (
        "Argument `width` of model `typed` must be an integer of at least 1. "
        "Received: width=True"
    )


def test_resolves_annotations_one_by_one():
    # The names of the others may exist for type checkers alone.
    def typed(width: "int", other: "Unheard" = None) -> "Unknown":  # noqa: F821
        return width, other

    assert bind(typed, parse_spec("typed(3, other=4)"), "model")
    with pytest.raises(InputError, match="must be an integer"):
        bind(typed, parse_spec("typed('x')"), "model")


class Base:
    def __init__(self, rate=0.5, name=None):
        self.rate, self.name = rate, name


class Derived(Base):
    def __init__(self, size: int = 1, **kwargs):
        super().__init__(**kwargs)
        self.size = size


def test_keyword_arguments_are_those_of_the_base_class():
    assert list(accepted(Derived)) == ["size", "rate", "name"]
    spec = parse_spec("derived(rate=0.1, size=2)")
    assert bind(Derived, spec, "part") == {"rate": 0.1, "size": 2}
    with pytest.raises(InputError, match="Did you mean 'rate'"):
        bind(Derived, parse_spec("derived(rat=0.1)"), "part")


def test_defaults_and_a_table_decide_for_a_library():
    found = accepted(subprocess.Popen, (), {"bufsize": int | None})
    assert found["bufsize"].annotation == int | None
    assert found["close_fds"].annotation is bool
    assert found["env"].annotation is inspect.Parameter.empty


def test_arguments_are_checked_without_a_spec():
    check_arguments(Derived, size=3)
    with pytest.raises(InputError, match="`size` of `Derived` must be an int"):
        check_arguments(Derived, size="3")


def test_help_lists_what_is_inherited():
    registry = Registry("thing", "cb.nothing")

    class Parent:
        """A parent.

        Args:
            rate: Float, the rate.
            name: String
                of two lines.
        """

        def __init__(self, rate: float = 0.5, name: str = "x"):
            self.rate, self.name = rate, name

    @registry.register("child")
    class Child(Parent):
        """A child.

        Args:
            size: Integer.
            **kwargs: The others.

        Raises:
            InputError: Never.
        """

        def __init__(self, size: int, **kwargs):
            super().__init__(**kwargs)
            self.size = size

    assert Child.__doc__ == (
        "A child.\n\nArgs:\n    size: Integer.\n    rate: Float, the rate.\n"
        "    name: String\n        of two lines.\n\nRaises:\n"
        "    InputError: Never.\n"
    )
    signature = inspect.signature(Child)
    assert str(signature) == (
        "(size: int, *, rate: float = 0.5, name: str = 'x')"
    )
    assert registry.build("child(3, rate=0.1)").rate == 0.1
