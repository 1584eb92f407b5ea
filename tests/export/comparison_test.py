"""A comparison of exports names gains, and what did not take part."""

import logging
import re

import keras
import numpy as np
import pytest

import cb
from cb.costs.latency import Latency
from cb.errors import InputError
from cb.export.comparison import Comparison
from cb.export.forms import FORMS
from cb.export.measurement import Measured


def measured(form, size, *medians):
    return Measured(
        form,
        size,
        {
            batch: Latency(median, median, median, 10, 2)
            for batch, median in zip((1, 128), medians, strict=True)
        },
    )


def test_a_gain_is_named_and_its_absence_too():
    dense = measured("dense", 4000, 0.002, 0.008)
    sparse = measured("sparse", 500, 0.001, 0.001)
    text = str(Comparison("sparse", [dense, sparse], {}))
    assert "Fastest: sparse, 4.00 times." in text
    assert re.search(r"sparse +500 +1\.000 +1\.000 +4\.00", text)
    slow = measured("sparse", 500, 0.002, 0.0078)
    assert "No gain" in str(Comparison("dense", [dense, slow], {}))
    assert "No gain" in str(Comparison("dense", [dense], {}))


def test_speed_is_compared_with_litert_where_it_is_there():
    dense = measured("dense", 4000, 0.002, 0.008)
    lite = measured("lite", 1000, 0.001, 0.004)
    sparse = measured("sparse", 500, 0.0005, 0.002)._replace(accuracy=0.97)
    text = str(Comparison("sparse", [dense, sparse, lite], {}))
    assert "Fastest: sparse, 2.00 times." in text
    assert "times as fast as lite" in text and "threads: 2" in text
    assert re.search(r"dense +4,000 +2\.000 +8\.000 +0\.50", text)
    assert re.search(r"sparse +500 .*2\.00 +0\.9700", text)
    slow = str(Comparison("lite", [dense, lite], {}))
    assert "No gain: nothing is faster than lite." in slow


@pytest.fixture(scope="module")
def model():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])


def test_a_form_that_does_not_take_part_is_named(model, monkeypatch, tmp_path):
    lacking = FORMS["engine"]._replace(packages=["no_such_package"])
    monkeypatch.setitem(FORMS, "engine", lacking)
    for name in ("onnx", "openvino", "lite_float16"):
        monkeypatch.delitem(FORMS, name)
    zeros = np.zeros((1, 4), "float32")
    found = cb.export.compare(
        model,
        tmp_path / "best",
        batch_sizes=[1],
        score=lambda predict: float(np.all(predict(zeros) == 0)),
    )
    labels = {row.form for row in found.rows}
    assert labels == FORMS.keys() - {"engine", "engine_int8", "lite_int8"}
    text = str(found)
    assert "Not as engine: it needs `pip install no_such_package`" in text
    for name in ("engine_int8", "lite_int8"):
        assert f"Not as {name}: there are no `representative` exam" in text
    assert re.search(r"^lite +[\d,]+ +[\d.]+ +1\.00 +1\.0000$", text, re.M)
    assert "<td" in found._repr_html_()
    assert "Not as engine" in found._repr_html_()


def test_the_dense_form_is_always_beside_others(model, tmp_path):
    found = cb.export.compare(
        model, tmp_path / "saved", "compact", [1], beside=["lite"]
    )
    assert [row.form for row in found.rows] == ["dense", "compact", "lite"]
    assert found.form == "compact"


def test_only_forms_that_exist_are_measured_beside(model, tmp_path):
    with pytest.raises(InputError, match="Unknown form.*'zip'"):
        cb.export.compare(model, tmp_path, "dense", beside=["zip"])


def test_names_that_files_lose_are_not_logged(model, tmp_path, caplog):
    logger = logging.getLogger("tensorflow")
    level = logger.level
    with caplog.at_level(logging.INFO, "tensorflow"):
        cb.export.save(model, tmp_path / "saved", "dense")
        cb.export.save_lite(model, tmp_path / "model.tflite")
        logger.info("A user's own line.")
    assert caplog.messages == ["A user's own line."]
    assert logger.level == level
