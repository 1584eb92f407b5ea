"""Layers of configuration, and what is refused."""

import json

import pytest

from cb.config import FORMAT
from cb.config import Config
from cb.config import check_settings
from cb.config import default_run_dir
from cb.config import layered
from cb.errors import InputError
from cb.registry import parse_spec


def test_explicit_flags_win_over_the_file_and_set_over_both(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("epochs: 7\nbatch_size: 9\nreallocation: set(every=3)\n")
    config, sources = layered(
        str(file), {"batch_size": 11}, ["reallocation.every=50"]
    )
    assert (config.epochs, config.batch_size) == (7, 11)
    assert config.reallocation == "set(every=50)"
    assert sources["epochs"] == f"file {file}"
    assert sources["batch_size"] == "flag"
    assert sources["reallocation.every"] == "set"
    assert sources["seed"] == "default"


def test_reads_json_and_the_configuration_of_a_run(tmp_path):
    plain, of_run = tmp_path / "a.json", tmp_path / "config.json"
    plain.write_text(json.dumps({"sparsity": 0.5}))
    of_run.write_text(json.dumps({"config": {"sparsity": 0.5}, "format": 1}))
    for file in (plain, of_run):
        assert layered(str(file), {}, [])[0].sparsity == 0.5


def test_a_configuration_of_a_newer_version_is_refused(tmp_path):
    file = tmp_path / "config.json"
    for number, message in ((FORMAT + 1, "newer version"), ("x", "integer")):
        file.write_text(json.dumps({"config": {}, "format": number}))
        with pytest.raises(InputError, match=message):
            layered(str(file), {}, [])


# Of runs as they were before fields had metadata: their folders are found.
@pytest.mark.parametrize(
    "values, expected",
    [
        ({}, "cfb25d4c"),
        ({"seed": 1}, "5154a457"),
        ({"sparsity": "0.5"}, "2c36596a"),
        ({"sparsity": {"conv": 0.5, "block_*": 0.98}}, "ec4ad0bd"),
        ({"sparsity": "conv=0.5,dense=0.98"}, "494c6527"),
        ({"include": "a*,b", "exclude": ["c"]}, "0b79c2ae"),
        (
            {"learning_rate": 1, "warmup_epochs": 2, "global_clipnorm": 3},
            "a928e65e",
        ),
        ({"save_every": 10, "epochs": 3}, "c90eaa21"),
        (
            {
                "worker_hosts": "a:1,b:1",
                "worker_index": 1,
                "strategy": "multi_worker",
            },
            "e5197895",
        ),
        (
            {
                "reallocation": "rigl(drop_fraction=0.3, every=100)",
                "model": "lenet_300_100",
                "dataset": "mnist",
            },
            "ac3e2206",
        ),
        (
            {
                "dtype": "mixed_bfloat16",
                "rounding": "down",
                "momentum_reset": "epoch",
                "learning_rate_scaling": "sqrt",
                "reference_batch_size": 50,
                "regime_adaptation": True,
            },
            "417f41ec",
        ),
        (
            {
                "validation_examples": 10,
                "fold": "2/5",
                "limit_examples": 100,
                "mixup": 0.2,
                "label_smoothing": 0.1,
                "auto_tune": "auto_tune(checks=2)",
            },
            "9f50ab2a",
        ),
        (
            {"name": "first", "job_idx": 3, "run_dir": "x", "print_every": 7},
            "cfb25d4c",
        ),
    ],
)
def test_the_hash_of_a_run_stays(values, expected):
    assert Config(**values).short_hash() == expected


def test_what_a_later_field_asks_for_is_in_the_hash():
    assert Config(masks="magnitude").short_hash() != Config().short_hash()


def test_text_becomes_what_a_field_holds():
    values = {"evaluate_train": "true", "epochs": "3", "mixup": "1"}
    config, _ = layered(None, values, ["show_input=F", "exclude=a, b"])
    assert config == Config(
        evaluate_train=True,
        epochs=3,
        mixup=1.0,
        show_input=False,
        exclude=["a", "b"],
    )


def test_an_unknown_field_is_answered_with_the_nearest():
    for name, nearest in (("epocs", "epochs"), ("lr", "learning_rate")):
        with pytest.raises(InputError, match=f"Did you mean '{nearest}'"):
            Config(**{name: 3})


def test_a_complete_configuration_reads_back_as_itself(tmp_path):
    config = Config(include=["a*", "b"], epochs=3, save_every=10)
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"config": config.as_dict()}))
    assert layered(str(file), {}, [])[0] == config


def test_a_file_may_hold_sparsities_as_a_map(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("sparsity: {conv: 0.5, 'block_*': 0.98}")
    config, _ = layered(str(file), {}, [])
    assert config.sparsity == "conv=0.5,block_*=0.98"
    file.write_text("sparsity: {conv: 1.5}")
    with pytest.raises(InputError, match="must be a number in"):
        layered(str(file), {}, [])


@pytest.mark.parametrize(
    "content, message",
    [
        ("epocs: 3", "Did you mean 'epochs'"),
        ("- 1", "mapping of names to values"),
        ("epochs: [", "bad.yaml', is not valid YAML: line 1"),
        ("epochs: many", "an integer of at least 1. Received: epochs='many'"),
        ("seed: 1\n\nepochs: 0", "epochs=0 .*bad.yaml', line 3"),
        ("seed: 1\nepocs: 3", "name in .*bad.yaml', line 2"),
        ("seed: 1\nreallocation: rigl(evry=3)", "evry.*bad.yaml', line 2"),
        ("seed: 1\nname: a\nseed: 2", "line 3: 'seed' is given twice"),
        ("evaluate_train: 1", "must be True or False"),
    ],
)
def test_refuses_a_bad_file(tmp_path, content, message):
    file = tmp_path / "bad.yaml"
    file.write_text(content)
    with pytest.raises(InputError, match=message):
        layered(str(file), {}, [])


@pytest.mark.parametrize(
    "values, message",
    [
        ({"fold": "3/2"}, "`fold` must be a fold"),
        ({"regime": "nowhere.yaml"}, "must be none, model, a YAML file"),
        ({"regime": "{0: {}}"}, "positive `learning_rate` at epoch 0"),
    ],
)
def test_values_are_checked_before_they_are_used(values, message):
    with pytest.raises(InputError, match=message):
        layered(None, values, [])
    # A run that was started with them may still be read.
    assert Config(**values).as_dict()


@pytest.mark.parametrize(
    "setting, message",
    [
        ("epochs=many", "`epochs` must be an integer"),
        ("fold=3/2", "`fold` must be a fold"),
        ("reallocation=rigle", "Did you mean 'rigl'"),
        ("epocs=3", "Did you mean 'epochs'"),
        ("reallocatoin.every=3", "Did you mean 'reallocation'"),
        ("epochs", "must have the form"),
    ],
)
def test_settings_are_checked_alone(setting, message):
    with pytest.raises(InputError, match=message):
        check_settings([setting])
    # The algorithm may be the space's.
    check_settings(["reallocation.temperature=1.0", "model.units.1=3"])


@pytest.mark.parametrize(
    "values, message",
    [
        ({"sparsity": 1.0}, r"\[0, 1\).*Received: sparsity=1\.0"),
        ({"sparsity": -0.1}, "sparsity"),
        ({"learning_rate": 0.0}, "a number of more than 0"),
        ({"epochs": 0}, "at least 1"),
        ({"gradient_accumulation": 0}, "at least 1"),
        ({"reference_batch_size": 0}, "at least 1"),
        ({"warmup_epochs": -1}, "at least 0"),
        ({"mixup": -0.1}, "at least 0"),
        ({"label_smoothing": 1.5}, "label_smoothing"),
        ({"global_clipnorm": 0}, "more than 0 or None"),
        ({"initial_epoch": 30}, "less than `epochs`"),
        ({"dtype": "float16"}, "'float32'.*Did you mean 'mixed_float16'"),
        ({"model": "mlp("}, "Malformed spec"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
    ],
)
def test_refuses_values_out_of_range(values, message):
    with pytest.raises(InputError, match=message):
        Config(**values)


@pytest.mark.parametrize(
    "setting, message",
    [
        ("epochs", "form `name=value`"),
        ("epoch=3", "Did you mean 'epochs'"),
        ("epochs.x=3", "Unknown part with keywords"),
    ],
)
def test_refuses_bad_settings(setting, message):
    with pytest.raises(InputError, match=message):
        layered(None, {}, [setting])


def test_the_folder_follows_what_makes_a_run_and_nothing_else():
    config = Config()
    assert default_run_dir(config).startswith("runs/mlp_")
    watched = Config(print_every=7, data_dir="elsewhere", checkpoint_every=2)
    assert default_run_dir(watched) == default_run_dir(config)
    for other in (Config(seed=1), Config(epochs=7), Config(sparsity=0.5)):
        assert default_run_dir(other) != default_run_dir(config)
    named = default_run_dir(Config(name="first", job_idx=3))
    assert named == f"runs/first_3_{config.short_hash()}"


def test_a_schedule_file_decides_unless_a_flag_says_otherwise(tmp_path):
    file = tmp_path / "schedule.yaml"
    file.write_text(
        "lr_schedule: [{0: 0.2}, {3: 0.1}]\n"
        "rewire_period_schedule: [{0: 10}, {2: 20}]\n"
    )
    given = {"reallocation": "set(drop_fraction=0.1)"}
    config, sources = layered(None, given, [], str(file))
    assert config.learning_rate == 0.2
    assert parse_spec(config.learning_rate_schedule).kwargs == {
        "factors": {0: 1.0, 3: 0.5}
    }
    assert parse_spec(config.reallocation).kwargs == {
        "drop_fraction": 0.1,
        "every": {0: 10, 2: 20},
    }
    assert sources["learning_rate"] == f"schedule file {file}"
    given = {"learning_rate_schedule": "cosine"}
    config, sources = layered(None, given, ["learning_rate=0.3"], str(file))
    assert config.learning_rate_schedule == "cosine"
    assert config.learning_rate == 0.3
    assert sources["learning_rate"] == "set"


def test_a_schedule_file_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="`schedule_file` cannot be read"):
        layered(None, {}, [], "no/file.yaml")
