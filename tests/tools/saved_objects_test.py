"""All that is registered with Keras is known to what saves it."""

import pytest

from tools import saved_objects

REGISTERED = saved_objects.objects()


def test_every_layer_is_among_them():
    assert {*saved_objects.LAYERS} <= {*REGISTERED}
    assert {"MaskedDense", "RAdam", "Warmup"} <= {*REGISTERED}


@pytest.mark.parametrize("name", sorted(REGISTERED))
def test_every_object_can_be_made(name):
    if name in saved_objects.METRICS:
        REGISTERED[name](**saved_objects.METRICS[name])
    else:
        saved_objects.model_of(name, REGISTERED[name])


def test_where_classes_lie_is_left_out_of_configurations():
    config = {"module": "cb.layers.masked", "inner": [{"module": "keras"}]}
    assert saved_objects.without_modules(config) == {
        "inner": [{"module": "keras"}]
    }
