"""Strategies of `tf.distribute`, chosen by name."""

import tensorflow as tf

from cb.distribute.join import Workers
from cb.distribute.join import join
from cb.errors import InputError
from cb.errors import argument_error
from cb.registry import Count
from cb.registry import Registry

REGISTRY = Registry("strategy", __name__, given=("workers",))

build = REGISTRY.build


@REGISTRY.register("auto")
def auto():
    """Mirror over all visible GPUs if there are several, else one device."""
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return mirrored()
    return none()


@REGISTRY.register("none")
def none():
    """Use one device, without distribution."""
    return tf.distribute.get_strategy()


@REGISTRY.register("mirrored")
def mirrored(devices: Count | None = None):
    """Copy the model to several devices of this machine.

    Args:
        devices: Integer, how many: of the visible GPUs, or where there are
            none, logical CPU devices. Defaults to all GPUs.

    Returns:
        A `tf.distribute.MirroredStrategy`.

    Raises:
        InputError: If there are not as many devices.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if devices is None and not gpus:
        raise InputError(
            "Strategy `mirrored` found no GPU. Expected `mirrored(devices=N)` "
            "for N logical CPU devices. Received: mirrored"
        )
    number = len(gpus) if devices is None else devices
    if not gpus:
        _split_cpu(number)
    elif number > len(gpus):
        raise argument_error(
            "devices",
            f"at most {len(gpus)}, the number of visible GPUs",
            number,
        )
    kind = "GPU" if gpus else "CPU"
    return tf.distribute.MirroredStrategy(
        [f"{kind}:{index}" for index in range(number)]
    )


@REGISTRY.register("multi_worker")
def multi_worker(workers: Workers | None = None):
    """Copy the model to all devices of several machines.

    Args:
        workers: `Workers`. Defaults to those of TF_CONFIG or Slurm.

    Returns:
        A `tf.distribute.MultiWorkerMirroredStrategy`.

    Raises:
        InputError: If there is no cluster, or its description is wrong.
        WorkerLost: If a worker does not appear in time.
    """
    return join(workers or Workers())


def _split_cpu(number: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    configured = tf.config.get_logical_device_configuration(cpu) or [None]
    if len(configured) >= number:
        return
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * number
        )
    except RuntimeError as error:
        raise InputError(
            "Strategy `mirrored` must be built before TensorFlow is used. "
            f"Received: devices={number} with {len(configured)} configured"
        ) from error
