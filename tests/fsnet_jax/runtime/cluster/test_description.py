"""Flags and the environment of a launcher: processes, or one sentence."""

import os
import random
import re

import pytest

from common_lib.errors import UserError
from fsnet_jax.runtime.cluster.description import (
  Cluster,
  described,
  host_and_port,
)

_SRUN = {
  'SLURM_JOB_ID': '8193',
  'SLURM_STEP_NODELIST': 'node7',
  'SLURM_NTASKS': '4',
  'SLURM_PROCID': '2',
  'SLURM_LOCALID': '0',
}
_MPIRUN = {
  # Job 3 in Open MPI's steps of 4096.
  'OMPI_MCA_orte_hnp_uri': '12288.0;tcp://10.96.0.1,10.148.0.1:34911',
  'OMPI_COMM_WORLD_SIZE': '3',
  'OMPI_COMM_WORLD_RANK': '1',
  'OMPI_COMM_WORLD_LOCAL_RANK': '1',
}


@pytest.fixture(autouse=True)
def clean(monkeypatch):
  for name in tuple(os.environ):
    if name.startswith(('SLURM', 'OMPI', 'JAX_', 'TPU', 'MEGASCALE')):
      monkeypatch.delenv(name)


def _set(monkeypatch, *parts, **more):
  for part in (*parts, more):
    for name, value in part.items():
      monkeypatch.setenv(name, value)


def test_alone():
  assert described(None, None, None) is None


def test_flags_win(monkeypatch):
  _set(monkeypatch, _SRUN)
  found = described('10.0.0.1:1234', 2, 1)
  assert found == Cluster('10.0.0.1:1234', 2, 1)


@pytest.mark.parametrize(
  'given, said',
  [
    (('a:1', 2, None), 'give --process_id too'),
    ((None, 2, None), 'give --coordinator_address and --process_id too'),
    (('a:1', 2, 2), r'--process_id is 2: it counts the 2 .* from 0 to 1'),
    (('a:1', 2, -1), '--process_id is -1'),
    (('a:1', 0, 0), '--num_processes is 0: give'),
    (('a:1', -3, 0), '--num_processes is -3'),
    (('a:1', 10**400, 0), '--num_processes is 1000'),
    (('', 2, 0), "--coordinator_address is ''"),
  ],
)
def test_flags_that_make_no_sense(given, said):
  with pytest.raises(UserError, match=said) as caught:
    described(*given)
  assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
  'address, host, port',
  [
    ('10.0.0.1:1234', '10.0.0.1', 1234),
    ('localhost:65535', 'localhost', 65535),
    ('node_7.cluster.local.:80', 'node_7.cluster.local.', 80),
    ('[::1]:8476', '::1', 8476),
    ('[fe80::b9b:ac5d:9cf0:b858]:1', 'fe80::b9b:ac5d:9cf0:b858', 1),
  ],
)
def test_addresses(address, host, port):
  assert host_and_port(address, '--x') == (host, port)


@pytest.mark.parametrize(
  'address, said',
  [
    ('10.0.0.1', 'has no port'),
    (':1234', 'has no host'),
    ('a:', "port ''"),
    ('a:0', "port '0'"),
    ('a:65536', 'port'),
    ('a:' + '9' * 4000, 'port'),
    ('a:-1', 'port'),
    ('a:1.5', 'port'),
    ('a:١٢', 'port'),
    ('a b:1', 'host'),
    ('http://a:1', 'host'),
    ('user@a:1', 'host'),
    ('a..b:1', 'host'),
    ('-a:1', 'host'),
    ('10.0.0.256:1', 'host'),
    ('10.0.1:1', 'host'),
    ('::1:1', 'host'),
    ('[::1:1', 'host'),
    ('[::x]:1', 'host'),
    ('bücher.example:1', 'host'),
    ('\x1b[2J:1', 'host'),
    ('a' * 64 + ':1', 'host'),
  ],
)
def test_addresses_that_are_none(address, said):
  with pytest.raises(UserError, match=said) as caught:
    host_and_port(address, '--coordinator_address')
  text = str(caught.value)
  assert text.startswith('--coordinator_address is ')
  assert '\x1b' not in text and len(text) < 400


@pytest.mark.parametrize(
  'nodes, host',
  [
    ('node7', 'node7'),
    ('node7,other', 'node7'),
    ('node[001-0015],other', 'node001'),
    ('node[001,007-015],other', 'node001'),
    ('node[12]', 'node12'),
  ],
)
def test_srun(monkeypatch, nodes, host):
  _set(monkeypatch, _SRUN, SLURM_STEP_NODELIST=nodes)
  # jax: the job's number mod 4096, from 65535 - 4096 + 1 on.
  assert described(None, None, None) == Cluster(f'{host}:61441', 4, 2)


def test_what_srun_did_not_start_is_no_cluster(monkeypatch):
  # An allocation by hand, and a script without srun.
  _set(monkeypatch, SLURM_NTASKS='4', SLURM_JOB_ID='1')
  assert described(None, None, None) is None
  _set(monkeypatch, SLURM_PROCID='0')
  said = 'SLURM_NTASKS is 4, but srun did not start.*SLURM_STEP_NODELIST'
  with pytest.raises(UserError, match=said):
    described(None, None, None)
  _set(monkeypatch, SLURM_NTASKS='1')
  assert described(None, None, None) is None


def test_mpirun(monkeypatch):
  _set(monkeypatch, _MPIRUN)
  assert described(None, None, None) == Cluster('10.96.0.1:61443', 3, 1)
  six = '12288.0;tcp6://[fe80::b9b:ac5d,2620:10d:c083::2]:43370'
  _set(monkeypatch, OMPI_MCA_orte_hnp_uri=six)
  assert described(None, None, None).address == '[fe80::b9b:ac5d]:61443'
  _set(monkeypatch, JAX_COORDINATOR_PORT='99')
  assert described(None, None, None).address == '[fe80::b9b:ac5d]:99'
  _set(monkeypatch, JAX_COORDINATOR_ADDRESS='here:5')
  assert described(None, None, None).address == 'here:5'


def test_our_addresses_are_those_of_jax(monkeypatch):
  """An independent reading of the same variables."""
  clusters = pytest.importorskip('jax._src.clusters')
  _set(monkeypatch, _SRUN, _MPIRUN)
  for kind in (clusters.OmpiCluster, clusters.SlurmCluster):
    expected = Cluster(
      kind.get_coordinator_address(None, None),
      kind.get_process_count(),
      kind.get_process_id(),
    )
    assert described(None, None, None) == expected
    for name in _MPIRUN:
      monkeypatch.delenv(name, raising=False)


def test_a_pod_finds_itself(monkeypatch):
  _set(monkeypatch, TPU_WORKER_HOSTNAMES='a')
  assert described(None, None, None) is None
  _set(monkeypatch, TPU_WORKER_HOSTNAMES='a,b')
  assert described(None, None, None) == Cluster(None)


@pytest.mark.parametrize(
  'changes, said',
  [
    ({'SLURM_NTASKS': 'two'}, "SLURM_NTASKS is 'two'.*no whole number"),
    ({'SLURM_NTASKS': '2(x3)'}, 'SLURM_NTASKS'),
    ({'SLURM_NTASKS': '-2'}, 'SLURM_NTASKS'),
    ({'SLURM_NTASKS': '9' * 5000}, 'SLURM_NTASKS is 9999'),
    ({'SLURM_PROCID': '4'}, r'SLURM_PROCID is 4: it counts the 4 processes'),
    ({'SLURM_PROCID': '0x1'}, 'SLURM_PROCID'),
    ({'SLURM_LOCALID': 'x'}, 'SLURM_LOCALID'),
    ({'SLURM_JOB_ID': 'job'}, 'SLURM_JOB_ID'),
    ({'SLURM_STEP_NODELIST': '[1-2]'}, 'SLURM_STEP_NODELIST.*names no host'),
    ({'SLURM_STEP_NODELIST': 'a b'}, 'SLURM_STEP_NODELIST.*names no host'),
    ({'JAX_COORDINATOR_PORT': 'http'}, 'JAX_COORDINATOR_PORT'),
    ({'JAX_COORDINATOR_PORT': '70000'}, 'JAX_COORDINATOR_PORT is 70000'),
    ({'JAX_COORDINATOR_ADDRESS': 'a'}, 'JAX_COORDINATOR_ADDRESS is .* no port'),
    ({'JAX_LOCAL_DEVICE_IDS': '0;1'}, 'JAX_LOCAL_DEVICE_IDS'),
    ({'JAX_PARTITION_INDEX': '?'}, 'JAX_PARTITION_INDEX'),
    ({'OMPI_COMM_WORLD_SIZE': 'x'}, 'OMPI_COMM_WORLD_SIZE'),
    ({'OMPI_COMM_WORLD_SIZE': '2'}, 'OMPI_COMM_WORLD_RANK is not set'),
    (_MPIRUN | {'OMPI_COMM_WORLD_RANK': '3'}, 'OMPI_COMM_WORLD_RANK is 3'),
    (_MPIRUN | {'OMPI_COMM_WORLD_LOCAL_RANK': '?'}, 'OMPI_COMM_WORLD_LOCAL'),
    (_MPIRUN | {'OMPI_MCA_orte_hnp_uri': ''}, 'orte_hnp_uri is not set'),
    (_MPIRUN | {'OMPI_MCA_orte_hnp_uri': 'x;tcp://a:1'}, 'orte_hnp_uri is .x;'),
    (_MPIRUN | {'OMPI_MCA_orte_hnp_uri': '1.0;tcp6://[zz]'}, 'orte_hnp_uri is'),
  ],
)
def test_an_environment_that_makes_no_sense(monkeypatch, changes, said):
  _set(monkeypatch, _SRUN, changes)
  with pytest.raises(UserError, match=said) as caught:
    described(None, None, None)
  assert len(str(caught.value)) < 400


def test_whatever_the_values_there_is_an_answer(monkeypatch):
  rng = random.Random(0)
  values = ['', ' ', '0', '1', '2', '-1', '1e9', 'x', '²', '9' * 40, '[', 'a,b']
  values += ['0.0;tcp://', '1.0;tcp://a', '\x1b[1m', 'n[1', '1.2.3.4:5']
  names = [*_SRUN, *_MPIRUN, 'JAX_COORDINATOR_ADDRESS', 'JAX_COORDINATOR_PORT']
  answered = 0
  for _ in range(300):
    with monkeypatch.context() as patch:
      for name in names:
        if rng.random() < 0.8:
          good = {**_SRUN, **_MPIRUN}.get(name, '4')
          patch.setenv(name, rng.choice([good, good, rng.choice(values)]))
      try:
        found = described(None, None, None)
      except UserError as error:
        assert re.search('SLURM|OMPI|JAX', str(error))
      else:
        answered += 1
        assert found is None or found.process_id < found.num_processes
  assert 0 < answered < 300
