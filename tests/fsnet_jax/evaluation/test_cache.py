"""Stored metrics are those of an evaluation only if nothing differs."""

import json
import shutil
import sys

import pytest

from configs import fsnet_fcn8
from fsnet_jax.evaluation import cache, identity

DATA = {
  'streets/day': {'images': 3, 'copies': ['a']},
  'validation': {'images': 2, 'copies': ['v']},
}
DETECTOR = """
from {helper} import WEIGHT
from fsnet_jax.detectors.msp import MaxSoftmaxProbability

class Mine(MaxSoftmaxProbability):
  name = '{name}'
  title = 'mine'
"""


def save(run, step, content):
  """A checkpoint: its large files have names that no other save has."""
  state = run / 'checkpoints' / str(step) / 'state'
  (state / 'd').mkdir(parents=True)
  (state / 'd' / content).write_bytes(b'x' * 100_000)
  (state / 'manifest').write_text(content)


def fit(folder, content):
  save(folder / 'head', 3, content)
  (folder / 'fit.json').write_text(json.dumps({'detector': 'tcp'}))


@pytest.fixture
def run(tmp_path):
  """A run that was evaluated, and its config."""
  workdir = tmp_path / 'run'
  save(workdir, 12, 'first')
  fit(tmp_path / 'tcp', 'one')
  config = fsnet_fcn8.get_config()
  config.eval.datasets = ('streets/day',)
  config.eval.detectors = ('msp', 'tcp')
  config.eval.fitted.tcp = str(tmp_path / 'tcp')
  store(workdir, config)
  assert cache.read(workdir, config, DATA) is not None
  return workdir, config


def store(workdir, config):
  (workdir / 'report').mkdir(exist_ok=True)
  found = cache.describe(config, workdir, DATA)
  text = json.dumps({'config': config.to_dict(), 'evaluation': found})
  (workdir / 'report' / 'metrics.json').write_text(text)


@pytest.mark.parametrize(
  ('field', 'value'),
  [
    ('datasets', ('streets/day', 'streets/fog')),
    ('detectors', ('msp',)),
    ('detectors', ('msp', 'tcp', 'msp_temperature')),
    ('checkpoint', 'best'),
    ('dropout_samples', 3),
    ('exact_pixels', 0),
    ('details', False),
    ('fitted.tcp', 'elsewhere'),
  ],
)
def test_another_setting_is_another_evaluation(run, field, value):
  workdir, config = run
  config.eval.update_from_flattened_dict({field: value})
  data = DATA | {'streets/fog': {}}
  assert cache.read(workdir, config, data) is None
  assert cache.read(workdir, config) is None


@pytest.mark.parametrize(
  ('field', 'value'),
  [
    ('eval.batch_size', 2),
    ('eval.name', 'mine'),
    ('eval.fitted.direct', 'unused'),
    ('eval.roots.camvid', 'unused'),
    ('data.num_workers', 3),
  ],
)
def test_what_metrics_do_not_depend_on_is_free(run, field, value):
  workdir, config = run
  config.update_from_flattened_dict({field: value})
  assert cache.read(workdir, config, DATA) is not None


def test_another_network_in_the_same_place_is_another_evaluation(run):
  workdir, config = run
  shutil.rmtree(workdir / 'checkpoints')
  save(workdir, 12, 'again')
  assert cache.read(workdir, config) is None
  store(workdir, config)
  save(workdir, 14, 'later')
  assert cache.read(workdir, config) is None
  # A save that was killed is none.
  shutil.rmtree(workdir / 'checkpoints' / '14')
  (workdir / 'checkpoints' / '14.orbax-checkpoint-tmp').mkdir()
  assert cache.read(workdir, config) is not None


def test_another_fit_in_the_same_folder_is_another_evaluation(run, tmp_path):
  workdir, config = run
  shutil.rmtree(tmp_path / 'tcp')
  assert cache.read(workdir, config) is None
  fit(tmp_path / 'tcp', 'two')
  assert cache.read(workdir, config) is None
  store(workdir, config)
  (tmp_path / 'tcp' / 'fit.json').write_text('{"detector": "direct"}')
  assert cache.read(workdir, config) is None


def test_the_same_fit_elsewhere_is_the_same(run, tmp_path):
  workdir, config = run
  shutil.copytree(tmp_path / 'tcp', tmp_path / 'moved')
  # What it learnt from is no part of it.
  save(tmp_path / 'moved' / 'failure_data' / 'fold0', 5, 'fold')
  config.eval.fitted.tcp = str(tmp_path / 'moved')
  assert cache.read(workdir, config, DATA) is not None


def test_other_images_are_another_evaluation_where_they_are_known(run):
  workdir, config = run
  other = DATA | {'streets/day': {'images': 3, 'copies': ['b']}}
  assert cache.read(workdir, config, other) is None
  assert cache.read(workdir, config, None) is not None
  # The validation images only where a temperature is fitted on them.
  other = DATA | {'validation': {'images': 2, 'copies': ['w']}}
  assert cache.read(workdir, config, other) is not None
  config.eval.detectors = ('msp', 'msp_temperature')
  store(workdir, config)
  assert cache.read(workdir, config, other) is None


@pytest.mark.parametrize('text', ['', '[]', '{}', '{"evaluation": 3}', '[' * 9])
def test_metrics_that_say_nothing_are_of_no_evaluation(run, text):
  workdir, config = run
  (workdir / 'report' / 'metrics.json').write_text(text)
  assert cache.read(workdir, config, DATA) is None


def test_a_detector_of_ones_own_is_its_files(run, tmp_path, monkeypatch):
  workdir, config = run
  (tmp_path / 'helper_of_mine.py').write_text('WEIGHT = 1\n')
  path = tmp_path / 'mine_in_a_file.py'
  text = DETECTOR.format(helper='helper_of_mine', name='mine_in_a_file')
  path.write_text(text)
  monkeypatch.syspath_prepend(tmp_path)
  try:
    config.eval.detectors = ('msp', 'mine_in_a_file:Mine')
    store(workdir, config)
    assert cache.read(workdir, config) is not None
    path.write_text(text + '# 2\n')
    assert cache.read(workdir, config) is None
    path.write_text(text)
    assert cache.read(workdir, config) is not None
    (tmp_path / 'helper_of_mine.py').write_text('WEIGHT = 2\n')
    assert cache.read(workdir, config) is None
  finally:
    sys.modules.pop('mine_in_a_file')
    sys.modules.pop('helper_of_mine')


def test_sources_are_told_apart_by_their_copies():
  class Source:
    folders = ('/cache/streets/day-32x64-abc/1.0.0',)

    def __len__(self):
      return 4

    def __getitem__(self, index):
      raise AssertionError('no image is read')

  assert identity.of_source(Source()) == {
    'images': 4,
    'copies': ['streets/day-32x64-abc/1.0.0'],
  }
  assert identity.of_source([1, 2]) == {'images': 2, 'copies': []}


def test_the_folders_of_what_is_evaluated():
  config = fsnet_fcn8.get_config()
  config.data.root = 'own'
  config.eval.roots.bdd100k = 'bdd'
  config.eval.roots.camvid = 'unused'
  config.eval.datasets = ('streets/day@fog3', 'bdd100k/old:val', 'streets/fog')
  assert cache.folders(config) == {'bdd100k': 'bdd', 'streets': 'own'}
  # The run's own has the images that the temperature is fitted on.
  config.eval.datasets = ('bdd100k',)
  assert cache.folders(config.to_dict()) == {
    'bdd100k': 'bdd', 'streets': 'own',
  }  # fmt: skip
