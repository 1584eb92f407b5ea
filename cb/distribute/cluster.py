"""Which machines train together, and which of them this is."""

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from collections.abc import Sequence

import tensorflow as tf

from cb.errors import InputError

SLURM_PORT = 8888
PORTS = 2**16
ADDRESS = re.compile(r"\[?[^\s\[\]]+\]?:\d{1,5}")
SOURCES = (
    "Expected `--worker_hosts` with `--worker_index`, the environment "
    "variable TF_CONFIG, or a job step of Slurm."
)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of a training.

    Attributes:
        hosts: Tuple of `"host:port"`, the chief's first.
        index: Integer, the position of this worker.
    """

    hosts: tuple[str, ...]
    index: int

    @property
    def port(self) -> int:
        """The port that this worker listens on."""
        return int(self.hosts[self.index].rpartition(":")[2])


def resolve(
    hosts: Sequence[str] | None = None,
    index: int | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Cluster:
    """Find the cluster in arguments, in TF_CONFIG or in Slurm's variables.

    Args:
        hosts: Addresses `"host:port"` of all workers.
        index: Integer, which of them this is.
        environment: Environment variables.

    Returns:
        A `Cluster`.

    Raises:
        InputError: If there is no cluster, or it makes no sense.
    """
    if hosts is not None or index is not None:
        return _checked(hosts or (), index, "worker_hosts")
    if "TF_CONFIG" in environment:
        return _of_tf_config(environment["TF_CONFIG"])
    if "SLURM_PROCID" in environment:
        return _of_slurm(environment)
    raise InputError(f"Strategy `multi_worker` found no cluster. {SOURCES}")


def _of_tf_config(text: str) -> Cluster:
    try:
        content = json.loads(text)
        jobs, task = content["cluster"], content["task"]
        kind, index = task["type"], int(task["index"])
        # A chief is the first worker.
        chiefs, workers = jobs.get("chief", []), jobs.get("worker", [])
        hosts = [str(host) for host in (*chiefs, *workers)]
        known = {"chief": 0, "worker": len(chiefs)}[kind]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError(
            "Environment variable TF_CONFIG must hold a cluster of `worker` "
            "addresses (and at most a `chief`) and a task with type and "
            f"index. Received: TF_CONFIG={text!r}"
        ) from None
    return _checked(hosts, known + index, "TF_CONFIG")


def _of_slurm(environment: Mapping[str, str]) -> Cluster:
    try:
        # Only the addresses are asked for: Slurm itself shares out the GPUs,
        # and the resolver cannot do without any.
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=SLURM_PORT,
            gpus_per_node=int(environment["SLURM_STEP_NUM_TASKS"]),
            gpus_per_task=1,
            auto_set_gpu=False,
        )
        hosts = resolver.cluster_spec().job_tasks("worker")
    except (KeyError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"Slurm's variables describe no cluster: {reason}. Start the "
            "workers with `srun`."
        ) from error
    return _checked(hosts, resolver.task_id, "SLURM_PROCID")


def _checked(hosts: Sequence[str], index: int | None, source: str) -> Cluster:
    for host in hosts:
        port = host.rpartition(":")[2]
        if not ADDRESS.fullmatch(host) or not 0 < int(port) < PORTS:
            raise InputError(
                f"`{source}` must hold addresses `host:port`. "
                f"Received: {host!r}"
            )
    if len(set(hosts)) < len(hosts):
        raise InputError(
            f"`{source}` must hold each address once. Received: {list(hosts)}"
        )
    if index is None or not 0 <= index < len(hosts):
        raise InputError(
            f"`{source}` has {len(hosts)} workers, counted from 0, and needs "
            f"to say which one this is. Received: index {index}. {SOURCES}"
        )
    return Cluster(tuple(hosts), index)
