"""The workers of a training: their addresses, and the index of this one."""

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from collections.abc import Sequence

import tensorflow as tf

from cb.errors import InputError
from cb.errors import one_line

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
        hosts: Tuple of addresses `"host:port"`, that of the chief first.
        index: Integer, the position of this worker.
    """

    hosts: tuple[str, ...]
    index: int

    @property
    def port(self) -> int:
        """Integer, the port that this worker listens on."""
        return int(self.hosts[self.index].rpartition(":")[2])


def resolve(
    hosts: Sequence[str] | None = None,
    index: int | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Cluster:
    """Read the cluster from arguments, TF_CONFIG or Slurm's variables.

    Args:
        hosts: Addresses `"host:port"` of all workers.
        index: Integer, the index of this worker.
        environment: Environment variables.

    Returns:
        A `Cluster`.

    Raises:
        InputError: If there is no cluster, or its description is wrong.
    """
    if hosts is not None or index is not None:
        return _checked(hosts or (), index, "worker_hosts")
    if "TF_CONFIG" in environment:
        return _of_tf_config(environment["TF_CONFIG"])
    if "SLURM_PROCID" in environment:
        return _of_slurm(environment)
    raise InputError(
        f"Strategy `multi_worker` found no cluster. {SOURCES} Received: none "
        "of these"
    )


def _of_tf_config(text: str) -> Cluster:
    try:
        content = json.loads(text)
        jobs, task = content["cluster"], content["task"]
        kind, index = task["type"], int(task["index"])
        # A chief, where there is one, is worker 0.
        chiefs, workers = jobs.get("chief", []), jobs.get("worker", [])
        hosts = [str(host) for host in (*chiefs, *workers)]
        known = {"chief": 0, "worker": len(chiefs)}[kind]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError(
            "Environment variable TF_CONFIG must hold a cluster of `worker` "
            "addresses, at most one `chief`, and a task with type and index. "
            f"Received: TF_CONFIG={text!r}"
        ) from None
    return _checked(hosts, known + index, "TF_CONFIG")


def _of_slurm(environment: Mapping[str, str]) -> Cluster:
    try:
        # Only the addresses are of interest: Slurm itself assigns the GPUs,
        # but the resolver requires a number of them.
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=SLURM_PORT,
            gpus_per_node=int(environment["SLURM_STEP_NUM_TASKS"]),
            gpus_per_task=1,
            auto_set_gpu=False,
        )
        hosts = resolver.cluster_spec().job_tasks("worker")
    except (KeyError, RuntimeError, ValueError) as error:
        reason = one_line(error, None)
        raise InputError(
            "Slurm's variables must describe a job step, as `srun` starts "
            f"it. Received: {reason}"
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
            f"`{source}` must hold different addresses. Received: {list(hosts)}"
        )
    if index is None or not 0 <= index < len(hosts):
        raise InputError(
            f"`{source}` has {len(hosts)} workers, so the index of this one "
            f"must be in [0, {len(hosts)}). {SOURCES} Received: index {index}"
        )
    return Cluster(tuple(hosts), index)
