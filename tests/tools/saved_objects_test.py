"""All that is registered with Keras is known to what saves it."""

from tools import saved_objects


def test_every_object_can_be_made():
    registered = saved_objects.objects()
    assert {"MaskedDense", "RAdam", "Warmup"} <= {*registered}
    for name, found in registered.items():
        if name in saved_objects.METRICS:
            found(**saved_objects.METRICS[name])
        else:
            saved_objects.model_of(name, found)


def test_where_classes_lie_is_left_out_of_configurations():
    config = {"module": "cb.layers.masked", "inner": [{"module": "keras"}]}
    assert saved_objects.without_modules(config) == {
        "inner": [{"module": "keras"}]
    }
