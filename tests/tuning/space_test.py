import pytest
import yaml

from cb.config import SPECS
from cb.config import is_explicit
from cb.errors import InputError
from cb.registry import parse_spec
from cb.tuning import space_file
from cb.tuning.plan import FixedConfiguration
from cb.tuning.planning import SweepSettings
from cb.tuning.planning import build_plan


def write(tmp_path, search, **others):
    file = tmp_path / "space.yaml"
    file.write_text(
        yaml.safe_dump({"search": search, **others}, sort_keys=False)
    )
    return str(file)


CONDITIONAL = {
    "model.last": {
        "type": "int",
        "min": 1,
        "max": 9,
        "when": {"model.layers": {"min": 2}},
    },
    "model.layers": {"type": "int", "min": 1, "max": 3},
    "dropped": {
        "type": "choice",
        "values": {"off": {"model.dropout": 0.0}, "on": None},
    },
    "model.dropout": {
        "type": "float",
        "min": 0.1,
        "max": 0.5,
        "when": {"dropped": "on"},
    },
}


def test_conditions_decide_what_is_active_and_set(tmp_path):
    space = space_file.read_space(write(tmp_path, CONDITIONAL))
    declared = space.hyperparameters()
    declared.values["model.layers"] = 1
    assert not declared.is_active("model.last")
    declared.values["model.layers"] = 3
    assert declared.is_active("model.last")
    assert space.defaults() == {"model.layers": 1, "dropped": "off"}
    assert space.settings({"model.layers": 2, "dropped": "off"}) == {
        "model.layers": 2,
        "model.dropout": 0.0,
    }


def test_whole_flags_are_set_before_what_is_inside_of_them(tmp_path):
    space = space_file.read_space(
        write(
            tmp_path,
            {
                "reallocation.every": {"type": "int", "min": 1, "max": 9},
                "reallocation": {"type": "choice", "values": ["set", "rigl"]},
                "model.stages.1": {"type": "int", "min": 1, "max": 4},
            },
            fixed={"model": "autosparse_resnet(stages=(2, 2, 2))"},
        )
    )
    values = {"reallocation.every": 5, "reallocation": "rigl"}
    chosen = space.settings({**values, "model.stages.1": 4})
    config, sources = FixedConfiguration().config(space.fixed, chosen)
    assert config.reallocation == "rigl(every=5)"
    assert config.model == "autosparse_resnet(stages=(2, 4, 2))"
    assert sources["reallocation"] == "set"


def test_given_flags_win_over_a_space_and_leave_the_search(tmp_path):
    space = space_file.read_space(
        write(tmp_path, CONDITIONAL, fixed={"epochs": 4, "batch_size": 7})
    )
    config, _ = FixedConfiguration(given={"epochs": 2}).config(space.fixed, {})
    assert (config.epochs, config.batch_size) == (2, 7)
    assert "model.last" in space.fixing({"model.layers": 2}).names
    assert "model.last" not in space.fixing({"model.layers": 1}).names


def test_a_given_spec_meets_conditions_by_its_name(tmp_path):
    whole = {"type": "int", "min": 1, "max": 3}
    search = {
        "reallocation": {"type": "choice", "values": ["rigl", "static"]},
        "reallocation.every": {**whole, "when": {"reallocation": ["rigl"]}},
        "epochs": whole,
    }
    space = space_file.read_space(write(tmp_path, search))
    for spec in ("rigl", "rigl(end=0.5)"):
        left = space.fixing({"reallocation": spec}).names
        assert left == ["reallocation.every", "epochs"]
    assert space.fixing({"reallocation": "static"}).names == ["epochs"]


def test_what_depends_on_a_parameter_that_is_gone_goes_too(tmp_path):
    whole = {"type": "int", "min": 1, "max": 3}
    search = {
        "epochs": whole,
        "batch_size": {**whole, "when": {"epochs": [2, 3]}},
        "model.layers": {**whole, "when": {"batch_size": {"min": 2}}},
        "learning_rate": {"type": "float", "min": 0.1, "max": 1},
    }
    space = space_file.read_space(write(tmp_path, search))
    assert space.fixing({"epochs": 1}).names == ["learning_rate"]
    assert len(space.fixing({"epochs": 2}).names) == 3


@pytest.mark.parametrize(("layers", "found"), [(1, False), (2, True)])
def test_a_setting_meets_conditions_as_a_number(tmp_path, layers, found):
    settings = SweepSettings(
        directory="sweep", space=write(tmp_path, CONDITIONAL)
    )
    base = FixedConfiguration(settings=[f"model.layers={layers}"])
    plan = build_plan(settings, base)
    assert ("model.last" in plan.space.names) == found


def test_what_is_set_inside_a_part_survives_the_choice_of_the_part():
    base = FixedConfiguration(
        settings=["reallocation.drop_fraction=0.2", "seed=3"]
    )
    chosen = {"reallocation": "rigl", "seed": 5, "reallocation.every": 7}
    config, _ = base.config({}, chosen)
    assert config.reallocation == "rigl(drop_fraction=0.2, every=7)"
    assert config.seed == 5


@pytest.mark.parametrize("name", space_file.published())
def test_published_spaces_are_whole(name):
    space = space_file.read_space(name)
    assert space.budget
    by_name = {one.name: one for one in space.parameters}
    for parameter in space.parameters:
        for value in parameter.extremes():
            wanted, waiting = {parameter.name: value}, [parameter]
            while waiting:
                for above, allowed in waiting.pop().when.items():
                    wanted.setdefault(above, allowed[0])
                    waiting.append(by_name[above])
            chosen = space.settings(space.completed(wanted))
            config, sources = FixedConfiguration().config(space.fixed, chosen)
            for written in parameter.settings(value):
                assert is_explicit(written.partition(".")[0], sources)
            for spec in SPECS:
                parse_spec(getattr(config, spec))


def test_the_published_ranges_of_the_perceptron():
    space = space_file.read_space("mnist")
    by_name = {one.name: one for one in space.parameters}
    assert space.budget == 650
    assert space.fixed["batch_size"] == 128
    assert (by_name["model.layers"].low, by_name["model.layers"].high) == (
        1,
        10,
    )
    assert by_name["model.middle"].when == {
        "model.layers": (3, 4, 5, 6, 7, 8, 9, 10)
    }
    rate = by_name["learning_rate"]
    assert (rate.low, rate.high, rate.log, rate.default) == (
        1e-5,
        1,
        True,
        0.01,
    )
    assert space_file.read_space("higgs").fixed["batch_size"] == 4096
    assert space_file.read_space("cifar10").budget == 550


@pytest.mark.parametrize(
    "name, every, end, distribution, batch_size, epochs",
    [
        ("mnist", 420, 0.8, "uniform", 128, 200),
        ("fashion_mnist", 420, 0.8, "uniform", 128, 200),
        ("electricity", 300, 0.8, "uniform", 128, 200),
        ("higgs", 2563, 0.8, "uniform", 4096, 200),
        ("cifar10", 100, 0.75, "erk", 256, 135),
        ("svhn_cropped", 100, 0.75, "erk", 256, 135),
    ],
)
def test_the_published_reproductions(
    name, every, end, distribution, batch_size, epochs
):
    space = space_file.read_space(f"{name}_reproduction")
    assert space.names == ["algorithm", "sparsity"]
    chosen = {"algorithm": "rigl", "sparsity": 0.9}
    config, _ = FixedConfiguration().config(space.fixed, space.settings(chosen))
    assert config.dataset == name
    assert config.reallocation == (
        f"rigl(drop_fraction=0.1, every={every}, end={end})"
    )
    assert config.distribution == distribution
    assert (config.batch_size, config.epochs) == (batch_size, epochs)
    config, _ = FixedConfiguration().config(
        space.fixed, space.settings({"algorithm": "no_prune"})
    )
    assert (config.reallocation, config.sparsity) == ("static", 0.0)


@pytest.mark.parametrize(
    "search, message",
    [
        ({}, "must have parameters under `search`"),
        ({"epoch": {"type": "int", "min": 1, "max": 2}}, "mean 'epochs'"),
        ({"run_dir": {"type": "choice", "values": ["a"]}}, "Unknown flag"),
        ({"epochs.a": {"type": "int", "min": 1, "max": 2}}, "Unknown part"),
        ({"epochs": {"type": "int", "min": 3, "max": 2}}, "min < max"),
        ({"epochs": {"type": "int", "min": 3}}, "`max`, an integer"),
        ({"epochs": {"type": "integer"}}, "Unknown type of parameter"),
        ({"epochs": {"type": "int", "low": 3}}, "Unknown key of parameter"),
        (
            {"epochs": {"type": "int", "min": 0, "max": 2, "log": True}},
            "min > 0 on a logarithmic scale",
        ),
        (
            {"epochs": {"type": "int", "min": 1, "max": 2, "default": 3}},
            "default between 1 and 2",
        ),
        ({"model": {"type": "choice", "values": []}}, "a list of `values`"),
        ({"model": {"type": "choice", "values": ["a", 1]}}, "of one type"),
        (
            {"epochs": {"type": "int", "min": 1, "max": 2, "when": {"b": 1}}},
            "Unknown parameter in the condition of `epochs`",
        ),
        (
            {
                "model": {"type": "choice", "values": ["a", "b"]},
                "epochs": {
                    "type": "int",
                    "min": 1,
                    "max": 2,
                    "when": {"model": "c"},
                },
            },
            "Unknown value of `model` in the condition",
        ),
        (
            {
                "model": {
                    "type": "choice",
                    "values": ["a"],
                    "when": {"dataset": "a"},
                },
                "dataset": {
                    "type": "choice",
                    "values": ["a"],
                    "when": {"model": "a"},
                },
            },
            "circular conditions",
        ),
        (["epochs"], "`search` .* must be a mapping"),
        (
            {"epochs": {"type": "int", "min": 1, "max": 2, "when": "model"}},
            "Condition of `epochs` must be a mapping",
        ),
        (
            {
                "epochs": {"type": "int", "min": 1, "max": 2},
                "batch_size": {
                    "type": "int",
                    "min": 1,
                    "max": 2,
                    "when": {"epochs": {"min": 3}},
                },
            },
            "must hold for integers from 1 to 2",
        ),
        (
            {
                "sparsity": {"type": "float", "min": 0, "max": 0.5},
                "epochs": {
                    "type": "int",
                    "min": 1,
                    "max": 2,
                    "when": {"sparsity": 0.5},
                },
            },
            "or values of a choice",
        ),
    ],
)
def test_bad_spaces_are_refused(tmp_path, search, message):
    with pytest.raises(InputError, match=message):
        space_file.read_space(write(tmp_path, search))


@pytest.mark.parametrize(
    "name, message",
    [
        ("mnits", "Unknown space.*Did you mean 'mnist'"),
        ("none.yaml", "cannot be read"),
    ],
)
def test_missing_spaces_are_refused(name, message):
    with pytest.raises(InputError, match=message):
        space_file.read_space(name)


@pytest.mark.parametrize(
    "others, message",
    [
        (
            {"budget": "many"},
            "`budget` of space .* must be an integer of at least 1",
        ),
        ({"fixed": ["epochs"]}, "`fixed` .* must be a mapping"),
        ({"extends": ["mnist"]}, "must extend the name or the file"),
    ],
)
def test_bad_files_are_refused(tmp_path, others, message):
    search = {"epochs": {"type": "int", "min": 1, "max": 2}}
    with pytest.raises(InputError, match=message):
        space_file.read_space(write(tmp_path, search, **others))


@pytest.mark.parametrize("name", ["space.yaml", "../spaces/space.yaml"])
def test_a_space_that_extends_itself_is_refused(tmp_path, name):
    folder = tmp_path / "spaces"
    folder.mkdir()
    for extended in (name, str(folder / name)):
        with pytest.raises(InputError, match="of another space"):
            space_file.read_space(write(folder, {}, extends=extended))


def test_a_space_extends_the_file_beside_it(tmp_path, monkeypatch):
    (tmp_path / "inner").mkdir()
    search = {"epochs": {"type": "int", "min": 1, "max": 2}}
    write(tmp_path, search)
    inner = write(tmp_path / "inner", {}, extends="../space.yaml")
    monkeypatch.chdir(tmp_path / "inner")
    for path in (inner, "space.yaml"):
        assert space_file.read_space(path).names == ["epochs"]
    monkeypatch.chdir(tmp_path)
    assert space_file.read_space("inner/space.yaml").names == ["epochs"]


def test_nothing_left_to_search_is_refused(tmp_path):
    search = {"epochs": {"type": "int", "min": 1, "max": 2}}
    space = space_file.read_space(write(tmp_path, search))
    with pytest.raises(InputError, match="is empty"):
        space.fixing({"epochs": 1})
    space = space_file.read_space("mnist")
    with pytest.raises(InputError, match="`reallocation` cannot be given"):
        space.fixing({"reallocation": "set"})
