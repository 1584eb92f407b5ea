"""A cluster is found in flags, in TF_CONFIG and in Slurm's variables."""

import json

import pytest

from cb.distribute.cluster import Cluster
from cb.distribute.cluster import resolve
from cb.errors import InputError

HOSTS = ["a:1", "b:2", "c:3"]


def tf_config(task, **jobs):
    return {"TF_CONFIG": json.dumps({"cluster": jobs, "task": task})}


def test_flags_come_before_the_environment():
    environment = tf_config({"type": "worker", "index": 0}, worker=["x:1"])
    found = resolve(HOSTS, 2, environment)
    assert found == Cluster(("a:1", "b:2", "c:3"), 2)
    assert found.port == 3


def test_a_chief_is_the_first_worker():
    jobs = {"chief": ["a:1"], "worker": ["b:2", "c:3"]}
    task = {"type": "worker", "index": 1}
    assert resolve(environment=tf_config(task, **jobs)) == Cluster(
        tuple(HOSTS), 2
    )
    task = {"type": "chief", "index": 0}
    assert resolve(environment=tf_config(task, **jobs)).index == 0


def test_a_job_step_of_slurm_is_a_cluster(monkeypatch):
    environment = {
        "SLURM_PROCID": "2",
        "SLURM_STEP_NUM_TASKS": "3",
        "SLURM_STEP_NODELIST": "node[1-2]",
        "SLURM_STEP_TASKS_PER_NODE": "2,1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    hosts = ("node1:8888", "node1:8889", "node2:8888")
    assert resolve(environment=environment) == Cluster(hosts, 2)


@pytest.mark.parametrize(
    "hosts, index, message",
    [
        (HOSTS, None, "index None"),
        (HOSTS, 3, "has 3 workers"),
        (None, 0, "has 0 workers"),
        (["a:1", "a:1"], 0, "different addresses"),
        (["a"], 0, "`host:port`.*'a'"),
        (["a:65536"], 0, "`host:port`.*'a:65536'"),
    ],
)
def test_bad_flags_are_refused(hosts, index, message):
    with pytest.raises(InputError, match=message):
        resolve(hosts, index, {})


@pytest.mark.parametrize(
    "environment, message",
    [
        ({}, "found no cluster"),
        ({"TF_CONFIG": "{"}, "TF_CONFIG must hold"),
        (tf_config({"type": "worker", "index": 0}, worker=None), "TF_CONFIG m"),
        (tf_config({"type": "worker", "index": 0}, worker=[5]), "host:port"),
        (tf_config({"type": "ps", "index": 0}, ps=["a:1"]), "TF_CONFIG must"),
        ({"SLURM_PROCID": "0"}, "Slurm's variables.*srun"),
        (
            {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "x"},
            "Slurm's variables.*'x'",
        ),
        # Enough for the number of workers, but not for their addresses.
        (
            {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2"},
            "Slurm's variables.*srun",
        ),
        (tf_config({"type": "worker", "index": 1}, worker=["a:1"]), "index 1"),
        (
            tf_config({"type": "worker", "index": -1}, worker=["a:1"]),
            "index -1",
        ),
    ],
)
def test_a_bad_environment_is_refused(environment, message):
    with pytest.raises(InputError, match=message):
        resolve(environment=environment)
