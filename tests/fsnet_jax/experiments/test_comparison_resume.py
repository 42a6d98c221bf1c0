"""What a comparison does not do twice, and what it has to do again.

Training is a stand-in; what is stored, and when it counts, is real.
"""

import json

import numpy as np
import pytest
from PIL import Image

from common_lib.errors import UserError
from configs import compare_fcn8
from fsnet_jax.experiments import ablation, comparison
from fsnet_jax.experiments.comparison import cells, evaluation
from fsnet_jax.learned_detectors.cost import Cost
from fsnet_jax.runtime.interrupts import Interrupted
from tests.fsnet_jax.experiments.comparison_stand_ins import (
  DATASETS,
  changed,
  read,
)


def test_what_is_evaluated_is_not_evaluated_again(own, stand_ins, capsys):
  config, workdir = own
  before = (workdir / 'report' / 'compare.json').read_bytes()
  origin = {'command': 'main.py --config=x'}
  comparison.run(config, workdir, 'train', origin)
  comparison.run(config, workdir, 'evaluate', origin)
  assert stand_ins.evaluated == [] and stand_ins.variants == []
  assert (workdir / 'report' / 'compare.json').read_bytes() == before
  assert 'FSNet less each method' in capsys.readouterr().out
  # Other settings of the evaluation are not those of this one.
  config.compare.resamples = 41
  assert evaluation.read_seed(config, 5, workdir) is None


def test_a_stopped_evaluation_goes_on_with_the_next_data_set(
  finished, stand_ins, tmp_path
):
  config = finished[0]
  stand_ins.stop_before = DATASETS[1]
  with pytest.raises(Interrupted):
    comparison.run(config, tmp_path, 'train', {})
  report = tmp_path / 'seed5/fsnet/report'
  assert (report / 'part_streets_day.json').exists()
  assert not (report / 'comparison.json').exists()
  stand_ins.stop_before = None
  stand_ins.passes.clear()
  comparison.run(config, tmp_path, 'train', {})
  assert stand_ins.passes == [DATASETS[1]]
  assert not list(report.glob('part_*'))
  unbroken = finished[1] / 'seed5/fsnet/report'
  for name in ('metrics.json', 'comparison.json'):
    assert read(report / name) == read(unbroken / name)
  with (
    Image.open(report / 'qualitative.png') as one,
    Image.open(unbroken / 'qualitative.png') as other,
  ):
    np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
  for name in ('streets_day', 'streets_day_blur2'):
    with (
      np.load(report / f'images_{name}.npz') as one,
      np.load(unbroken / f'images_{name}.npz') as other,
    ):
      assert one.files == other.files
      for key in one.files:
        np.testing.assert_array_equal(one[key], other[key])


def test_parts_of_another_evaluation_do_not_count(
  finished, stand_ins, tmp_path
):
  config = finished[0]
  stand_ins.stop_before = DATASETS[1]
  with pytest.raises(Interrupted):
    comparison.run(config, tmp_path, 'train', {})
  other = changed(config, compare__resamples=41)
  stand_ins.passes.clear()
  with pytest.raises(Interrupted):
    comparison.run(other, tmp_path, 'train', {})
  assert stand_ins.passes == [DATASETS[0]]
  # And now those of the first are gone.
  report = tmp_path / 'seed5/fsnet/report'
  with np.load(report / 'images_streets_day.npz') as arrays:
    assert arrays['draws/msp'].shape == (6, 41)
  # Half a file is no part.
  (report / 'part_streets_day.npz').write_bytes(b'PK\x03\x04')
  stand_ins.passes.clear()
  with pytest.raises(Interrupted):
    comparison.run(other, tmp_path, 'train', {})
  assert stand_ins.passes == [DATASETS[0]]


def test_other_images_are_evaluated_anew(finished, stand_ins, tmp_path):
  config = finished[0]
  assert evaluation.read_seed(config, 5, finished[1]) is not None
  # The folder of a data set that is not evaluated is no matter.
  unused = changed(config, eval__roots__bdd100k='/elsewhere')
  assert evaluation.read_seed(unused, 5, finished[1]) is not None
  fewer = changed(config, eval__exact_pixels=0)
  assert evaluation.read_seed(fewer, 5, finished[1]) is None
  other = changed(config, data__root='/elsewhere')
  assert evaluation.read_seed(other, 5, finished[1]) is None
  variants = ablation.cells(
    cells.variants_config(other),
    ('full',),
    (5,),
    finished[1] / 'ablation',
    train=False,
  )
  assert list(variants) == []
  # S alone too is judged on the other images.
  stand_ins.passes.clear()
  for one in (config, other, other):
    one = changed(one, eval__datasets=DATASETS[:1])
    stand_ins.train(one, 5, tmp_path)
    data = evaluation.data_versions(one)
    assert list(evaluation.finish(one, (5,), tmp_path, data, {}))
  assert stand_ins.passes == [DATASETS[0]] * 4


def test_another_network_or_fit_is_evaluated_anew(own):
  config, workdir = own
  assert evaluation.read_seed(config, 5, workdir) is not None
  for run in ('fsnet', 'phase1'):
    (workdir / 'seed5' / run / 'checkpoints' / '3').mkdir(parents=True)
    assert evaluation.read_seed(config, 5, workdir) is None
    (workdir / 'seed5' / run / 'checkpoints' / '3').rmdir()
    assert evaluation.read_seed(config, 5, workdir) is not None
  other = {'streets/day': {'images': 9}, 'streets/day@blur2': {'images': 10}}
  other['validation'] = {'images': 10}
  assert evaluation.read_seed(config, 5, workdir, other) is None


def test_an_older_evaluation_that_names_no_images_is_made_anew(own):
  config, workdir = own
  path = workdir / 'seed5/fsnet/report/comparison.json'
  content = read(path)
  del content['settings']['exact_pixels']
  path.write_text(json.dumps(content))
  assert evaluation.read_seed(config, 5, workdir) is None


def test_what_an_evaluation_was_of_is_remembered(own):
  config, workdir = own
  assert evaluation.read_seed(config, 5, workdir) is not None
  # The joint phase, or a detector, has been trained once more.
  Cost(0, 4.0, 40).write(workdir / 'seed5/fsnet')
  assert evaluation.read_seed(config, 5, workdir) is None
  Cost(0, 3.0, 40).write(workdir / 'seed5/fsnet')
  assert evaluation.read_seed(config, 5, workdir) is not None
  # Somebody has evaluated the run with detectors of his own.
  path = workdir / 'seed5/fsnet/report/metrics.json'
  metrics = read(path)
  del metrics['datasets'][DATASETS[0]]['failure']['msp']
  path.write_text(json.dumps(metrics))
  assert evaluation.read_seed(config, 5, workdir) is None


def test_a_variant_of_other_data_is_not_finished(finished):
  config, workdir = finished

  def variants(base):
    return list(
      ablation.cells(base, ('full',), (5,), workdir / 'ablation', train=False)
    )

  assert list(variants(cells.variants_config(config))[-1]) == ['full']
  other = changed(config, eval__datasets=DATASETS[:1])
  assert variants(cells.variants_config(other)) == []


def test_a_variant_that_cannot_be_trained_is_named(
  finished, tmp_path, monkeypatch
):
  def fail(*_):
    raise UserError('there are only 3 training images.')

  monkeypatch.setattr(ablation, '_train_cell', fail)
  base = cells.variants_config(finished[0])
  with pytest.raises(
    UserError, match='Cell data_20, seed 5: there are.*variants'
  ):
    list(ablation.cells(base, ('data_20',), (5,), tmp_path, train=True))


def test_a_failed_training_says_which(tmp_path, monkeypatch):
  config = compare_fcn8.get_config()

  class Fails:
    def __init__(self, cell, folder):
      pass

    def run(self):
      raise UserError('The loss is nan at step 3.')

  monkeypatch.setattr(cells, 'trainer', Fails)
  words = 'Cell phase 1, seed 2: The loss is nan.*leave it out of .*seeds'
  with pytest.raises(UserError, match=words):
    cells.train(config, 2, tmp_path)
