"""Joins this process to the other workers of a training."""

import dataclasses
import os
import socket
import time

import tensorflow as tf
from tensorflow.compiler.xla.tsl.protobuf import coordination_config_pb2
from tensorflow.python.eager import context

from cb.distribute import keras_issue_20585
from cb.distribute.cluster import Cluster
from cb.distribute.cluster import resolve
from cb.errors import InputError
from cb.errors import WorkerLost

# A worker counts as lost after this time without a heartbeat; the exit of its
# process is noticed at once.
HEARTBEAT_SECONDS = 10
PROBE_SECONDS = 2.0
SECONDS_BETWEEN_PROBES = 0.2


@dataclasses.dataclass(frozen=True)
class Workers:
    """The other workers of a training, and how long to wait for them.

    Attributes:
        hosts: List of all addresses `"host:port"`; `None` for those of
            TF_CONFIG or Slurm.
        index: Integer, the index of this worker.
        timeout: Float, seconds to wait for the others at the start.
    """

    hosts: list[str] | None = None
    index: int | None = None
    timeout: float = 300.0


def join(workers: Workers) -> tf.distribute.MultiWorkerMirroredStrategy:
    """Wait for all workers and return the strategy that spans them.

    Args:
        workers: `Workers`.

    Returns:
        A `tf.distribute.MultiWorkerMirroredStrategy`. All later collectives
        fail when a worker is lost.

    Raises:
        InputError: If there is no cluster, its description is wrong, or the
            address of this worker is in use.
        WorkerLost: If a worker does not appear in time, or exits meanwhile.
    """
    cluster = resolve(workers.hosts, workers.index)
    _meet(cluster, workers.timeout)
    keras_issue_20585.install()
    _configure(cluster, workers.timeout)
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.hosts)}),
        task_type="worker",
        task_id=cluster.index,
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
        rpc_layer="grpc",
    )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(resolver)
    except tf.errors.OpError as error:
        raise WorkerLost(
            f"Worker {cluster.index} could not join the others: one of them "
            "has exited. Run the same command again on all workers."
        ) from error


def _configure(cluster: Cluster, seconds: float) -> None:
    """Set up the chief's coordination service, with time limits."""
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader="/job:worker/replica:0/task:0",
        cluster_register_timeout_in_ms=int(1e3 * seconds),
        heartbeat_timeout_in_ms=1000 * HEARTBEAT_SECONDS,
        coordinated_jobs=[
            coordination_config_pb2.CoordinatedJob(
                name="worker", num_tasks=len(cluster.hosts)
            )
        ],
    )
    # Without it the chief waits an hour for a worker that has listened but
    # never joins. No argument sets it.
    configured = context.context().coordination_service
    configured.cluster_register_with_barrier = True


def _meet(cluster: Cluster, seconds: float) -> None:
    """Wait until all workers listen; listen for them meanwhile."""
    absent = [n for n in range(len(cluster.hosts)) if n != cluster.index]
    deadline = time.monotonic() + seconds
    with _listening(cluster):
        while absent := [n for n in absent if not _listens(cluster.hosts[n])]:
            if time.monotonic() > deadline:
                names = [f"{n} ({cluster.hosts[n]})" for n in absent]
                raise WorkerLost(
                    f"Worker {cluster.index} has waited {seconds:.0f} s, but "
                    f"worker {', '.join(names)} did not appear. Run the same "
                    "command again on all workers."
                )
            time.sleep(SECONDS_BETWEEN_PROBES)


def _listening(cluster: Cluster) -> socket.socket:
    """Listen on the port: TensorFlow does not explain that it is in use."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        return socket.create_server(
            ("", cluster.port), family=family, dualstack_ipv6=both
        )
    except OSError as error:
        raise InputError(
            f"Worker {cluster.index} cannot listen on "
            f"{cluster.hosts[cluster.index]}: {os.strerror(error.errno or 0)}. "
            "Another process may use the port, such as a worker with the "
            "same index or a run that has not exited yet."
        ) from error


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    place = (host.strip("[]"), int(port))
    try:
        with socket.create_connection(place, PROBE_SECONDS):
            return True
    except OSError:
        return False
