"""Our reader of torch.save's files beside PyTorch's own restricted one."""

import argparse
import collections
import datetime
import enum
import functools
import pathlib
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from common_lib.errors import UserError
from fsnet_jax.weights import readers
from tests.fsnet_jax.weights import hostile_files
from tests.fsnet_jax.weights import torch_writer as tw


class Metric(enum.Enum):
  """What somebody's own package has."""

  MIOU = 'miou'


class Meter:
  """Likewise."""

  def __init__(self):
    self.history, self.step = [np.float64(0.5)], self.add

  def add(self, value):
    """A bound method is pickled by getattr."""
    self.history.append(value)


def network():
  torch.manual_seed(0)
  return nn.Sequential(
    nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1)
  )


def beside():
  """What training programs save beside a state dict, by title."""
  net = network()
  adam = torch.optim.AdamW(net.parameters(), 1e-3)
  net(torch.ones(1, 3, 8, 8)).sum().backward()
  adam.step()
  cycle = torch.optim.lr_scheduler.OneCycleLR(adam, 0.1, total_steps=9)
  plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(adam)
  cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 9)
  return {
    'best_pred': np.float64(0.71),
    'numbers of NumPy': [np.float32(1), np.int64(2), np.bool_(True)],
    'arrays of NumPy': np.zeros((19, 19)),
    'objects of NumPy': np.array([None, 'a'], object),
    'random state': np.random.default_rng(0),
    'args': argparse.Namespace(lr=0.1, size=(3, 4), path=pathlib.Path('x')),
    'optimizer': adam.state_dict(),
    'scheduler of methods': cycle.state_dict(),
    'plateau': plateau.state_dict(),
    'scheduler as an object': cosine,
    'enum': Metric.MIOU,
    'times': [datetime.datetime(2024, 1, 2), datetime.timedelta(3)],
    'meter': Meter(),
    'counter': collections.Counter({30: 1, (1, 2): 2}),
    'defaultdict': collections.defaultdict(list, {'a': [1]}),
    'deque': collections.deque([1, 2], 3),
    'sets': [{1, 2}, frozenset('ab'), set()],
    'bytes': [b'abc', bytearray(b'abc'), b'x' * 300],
    'numbers': [1j, 1 << 70, -1, 1e-3, float('nan'), True, None, ...],
    'partial': functools.partial(int, base=2),
    'types': [int, nn.ReLU, torch.Tensor, np.ndarray, torch.float16],
    'device': torch.device('cpu'),
    'shape': torch.Size([1, 2]),
    'generator': torch.get_rng_state(),
    'keys of all kinds': {1: 2, 'a': 3, None: 4, (1, 2): 5, 1.5: 6},
    'ordered': collections.OrderedDict([(1, 2), ('a', 3)]),
    'module': nn.Linear(2, 2),
    'loss': nn.CrossEntropyLoss(weight=torch.ones(19)),
    'exception': ValueError('x'),
    'slice': slice(1, 2),
    'complex': torch.zeros(2, dtype=torch.complex64),
  }  # fmt: skip


BESIDE = list(beside())


def agrees(path, state):
  found = readers.read_tensors(path)
  expected = {n: t for n, t in state.items() if isinstance(t, torch.Tensor)}
  for name, tensor in expected.items():
    np.testing.assert_array_equal(found[name], tensor.detach().numpy())
  return found


@pytest.mark.parametrize('title', BESIDE)
@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
def test_whatever_is_beside_a_state_dict_is_skipped(tmp_path, title, protocol):
  state, thing = network().state_dict(), beside()[title]
  path = tmp_path / 'a.pth'
  for saved in (
    {'x': thing, 'state_dict': state, 'y': [thing, {'z': (thing,)}]},
    {'model': state, 'optimizer': thing},
  ):
    torch.save(saved, path, pickle_protocol=protocol)
    assert list(agrees(path, state)) == list(state)
  if protocol == 2:
    torch.save(saved, path, _use_new_zipfile_serialization=False)
    assert list(agrees(path, state)) == list(state)


def test_everything_beside_and_among_at_once(tmp_path):
  state, path = network().state_dict(), tmp_path / 'a.pth'
  numbers = {k: v for k, v in beside().items() if k not in ('module', 'loss')}
  torch.save({**numbers, 'state_dict': state}, path)
  assert list(agrees(path, state)) == list(state)
  flat = {'best_pred': np.float64(0.7), 'args': argparse.Namespace(), **state}
  torch.save(flat, path)
  assert list(agrees(path, state)) == list(state)


def test_tensors_that_are_more_than_values(tmp_path):
  parameter = nn.Parameter(torch.ones(3))
  parameter.colour = 'red'
  buffer = torch.arange(4.0)
  buffer.note = ['a']
  path = tmp_path / 'a.pth'
  torch.save({'parameter': parameter, 'buffer': buffer}, path)
  agrees(path, {'parameter': parameter, 'buffer': buffer})
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    quantised = torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8)
  sparse = torch.eye(3).to_sparse()
  for tensor in (quantised, sparse, torch.zeros(2).to(torch.float8_e5m2)):
    torch.save({'a.weight': torch.ones(2), 'b.weight': tensor}, path)
    with pytest.raises(UserError, match='torch.*_rebuild'):
      readers.read_tensors(path)


# In a process of its own, should a file of the battery run something there.
_THEIRS = """
import pathlib, sys, torch
refused = []
for path in sorted(pathlib.Path(sys.argv[1]).glob('*.pth')):
  try:
    torch.load(path, weights_only=True)
  except BaseException:
    refused.append(path.stem)
print(' '.join(refused))
"""


def test_what_each_refuses(tmp_path):
  """Whatever PyTorch refuses of the battery we refuse, or skip unmade."""
  folder = tmp_path / 'files'
  folder.mkdir()
  files = {
    f'call{i}': tw.pickled({'weight': value})
    for i, value in enumerate(hostile_files.calls(tmp_path / 'x').values())
  }
  structures = hostile_files.structures()
  files |= {f'structure{i}': v for i, v in enumerate(structures.values())}
  ours = set()
  for name, program in files.items():
    path = folder / f'{name}.pth'
    tw.write_zip(path, program, {'0': hostile_files.VALUES})
    try:
      readers.read_tensors(path)
    except UserError:
      ours.add(name)
  done = subprocess.run(
    [sys.executable, '-c', _THEIRS, str(folder)],
    check=True, capture_output=True, text=True, cwd=tmp_path,
  )  # fmt: skip
  theirs = set(done.stdout.split())
  print(f'refused of {len(files)}: {len(ours)} here, {len(theirs)} there')
  assert ours == set(files)
  assert theirs <= ours
  assert [path.name for path in tmp_path.iterdir()] == ['files']


def test_what_each_reads(tmp_path):
  """Ordinary checkpoints that PyTorch's restricted reader refuses."""
  state, path = network().state_dict(), tmp_path / 'a.pth'
  theirs = 0
  for thing in beside().values():
    torch.save({'x': thing, 'state_dict': state}, path)
    try:
      torch.load(path, weights_only=True)
      theirs += 1
    except pickle.UnpicklingError:
      pass
    assert list(agrees(path, state)) == list(state)
  print(f'read of {len(BESIDE)}: all here, {theirs} there')
  assert theirs < len(BESIDE)
