"""Folders of converted weights, as written and after every kind of damage."""

import hashlib
import json
import shutil

import numpy as np
import pytest

from common_lib.errors import UserError
from fsnet_jax.runtime import weights_store
from fsnet_jax.weights import folders

DESCRIPTION = {'arch': 'resnet18', 'width': 0.5, 'source': 'r.pth'}


def tree():
  rng = np.random.default_rng(0)
  return {
    'params': {
      'conv1': {'kernel': rng.standard_normal((3, 4), np.float32)},
      'bn1': {'bias': np.zeros(4, np.float32)},
    },
    'batch_stats': {'bn1': {'mean': np.ones(4, np.float32)}},
  }


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  folder = tmp_path_factory.mktemp('weights') / 'resnet18'
  folders.write(folder, tree(), DESCRIPTION)
  return folder


@pytest.fixture
def copy(made, tmp_path):
  return shutil.copytree(made, tmp_path / 'copy')


def text_of(folder):
  return json.loads((folder / 'weights.json').read_text())


def put(folder, found, sign=True):
  """Writes a description, with the checksum that it must have."""
  found = {name: v for name, v in found.items() if name != 'checksum'}
  if sign:
    text = json.dumps(found, sort_keys=True, separators=(',', ':'))
    found['checksum'] = hashlib.sha256(text.encode()).hexdigest()
  (folder / 'weights.json').write_text(json.dumps(found))


def refuses(folder, *words):
  with pytest.raises(UserError) as caught:
    folders.read(folder)
  message = str(caught.value)
  for word in (str(folder), 'convert', *words):
    assert word in message
  assert '\n' not in message and len(message) < 800


def test_a_folder_gives_back_what_was_written(made):
  np.testing.assert_equal(folders.read(made), tree())
  described = folders.describe(made)
  assert described['shapes'][('params', 'conv1', 'kernel')] == (3, 4)
  assert described['width'] == 0.5


def files_of(folder):
  return sorted(path for path in folder.rglob('*') if path.is_file())


def test_a_flipped_bit_is_noticed(copy):
  rng = np.random.default_rng(0)
  for path in files_of(copy):
    original = path.read_bytes()
    for place in rng.integers(0, len(original), 12):
      damaged = bytearray(original)
      damaged[place] ^= 1 << rng.integers(8)
      path.write_bytes(damaged)
      # White space in the description says nothing.
      if path.suffix != '.json' or damaged.split() != original.split():
        refuses(copy)
    path.write_bytes(original)
  np.testing.assert_equal(folders.read(copy), tree())


def test_files_that_are_gone_cut_or_empty(copy):
  for path in files_of(copy):
    original = path.read_bytes()
    for content in (None, b'', original[: len(original) // 2], b'\xff' * 99):
      path.unlink(missing_ok=True)
      if content is not None:
        path.write_bytes(content)
      refuses(copy)
    path.write_bytes(original)
  # What a file manager leaves is no damage.
  (copy / 'arrays' / '.DS_Store').write_bytes(b'1')
  np.testing.assert_equal(folders.read(copy), tree())


def test_arrays_of_another_folder(copy):
  other = tree()
  other['params']['conv1']['kernel'] = other['params']['conv1']['kernel'] + 1
  shutil.rmtree(copy / 'arrays')
  refuses(copy, 'missing')
  weights_store.save_arrays(copy / 'arrays', other)
  refuses(copy)


def test_larger_arrays_are_not_even_read(copy, monkeypatch):
  other = tree()
  other['params']['conv1']['kernel'] = np.zeros((3, 400), np.float32)
  shutil.rmtree(copy / 'arrays')
  weights_store.save_arrays(copy / 'arrays', other)
  put(copy, {**text_of(copy), 'files': {}})
  monkeypatch.setattr(weights_store, 'load_arrays', None)
  refuses(copy, 'other shapes')


def test_a_description_that_was_changed(copy):
  found = text_of(copy)
  put(copy, {**found, 'width': 1.0, 'checksum': found['checksum']}, False)
  refuses(copy, 'weights.json', 'checksum')
  changed = {**found, 'width': 1.0}
  (copy / 'weights.json').write_text(json.dumps(changed))
  refuses(copy, 'changed by hand')
  put(copy, {**found, 'schema': 9})
  refuses(copy, 'another version')


def test_the_first_version_had_no_checksums(copy):
  found = text_of(copy)
  del found['files']
  put(copy, {**found, 'schema': 1}, sign=False)
  np.testing.assert_equal(folders.read(copy), tree())


NAME = 'params/conv1/kernel'


@pytest.mark.parametrize(
  'text',
  ['', '{', '[]', '3', 'null', '{"schema": 2}', '[' * 100_000, '1' * 5000,
   '{"schema": true}', '\x00', '{"a":' * 50_000],
)  # fmt: skip
def test_no_description(copy, text):
  (copy / 'weights.json').write_text(text)
  refuses(copy, 'weights.json')


@pytest.mark.parametrize(
  'changes',
  [
    {'schema': True}, {'schema': '2'}, {'schema': [2]}, {'schema': 0},
    {'arch': 'resnet81'}, {'arch': ['resnet18']}, {'arch': None},
    {'width': '1'}, {'width': True}, {'width': 0}, {'width': 1e400},
    {'width': float('nan')}, {'width': 10**400}, {'width': {}},
    {'source': 3}, {'source': ['a']},
    {'shapes': None}, {'shapes': []}, {'shapes': {}}, {'shapes': 'params'},
    {'shapes': {NAME: 3}}, {'shapes': {NAME: [3, True]}},
    {'shapes': {NAME: [3, -4]}}, {'shapes': {NAME: [3, 4.0]}},
    {'shapes': {NAME: [1 << 62, 4]}}, {'shapes': {NAME: [1] * 99}},
    {'shapes': {NAME: [[3], 4]}}, {'shapes': {NAME: {'3': 4}}},
    {'shapes': {'conv1': [3, 4]}}, {'shapes': {'params': [3, 4]}},
    {'shapes': {'params//kernel': [3]}}, {'shapes': {'/': [3]}},
    {'shapes': {NAME: [3, 4], NAME + '/x': [3]}},
    {'files': []}, {'files': 'arrays'}, {'files': {'manifest.ocdbt': 3}},
    {'files': {'../weights.json': 'ab'}}, {'files': {'/etc/passwd': 'ab'}},
  ],
)  # fmt: skip
def test_values_of_other_types(copy, changes):
  put(copy, {**text_of(copy), **changes})
  refuses(copy)


def test_other_folders(tmp_path):
  refuses(tmp_path, 'no converted weights')
  refuses(tmp_path / 'none', 'no converted weights')
  file = tmp_path / 'file'
  file.touch()
  refuses(file, 'no converted weights')


def test_a_file_name_with_an_escape_is_shown_without_it(made, tmp_path):
  folder = shutil.copytree(made, tmp_path / 'red\x1b[31m')
  (folder / 'weights.json').write_text('{')
  with pytest.raises(UserError) as caught:
    folders.read(folder)
  assert '\x1b' not in str(caught.value)
