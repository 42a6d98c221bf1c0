"""The comparison's run with stand-ins for training and networks.

The observers, what is stored, joined, reported and not done twice are real.
"""

import copy
import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from common_lib.errors import UserError
from configs import compare_fcn8, stored_run
from fsnet_jax import cli
from fsnet_jax.evaluation.image_tables import ImageTables
from fsnet_jax.experiments import ablation, comparison
from fsnet_jax.experiments.comparison import (
  cells,
  evaluation,
  partial_results,
  per_image_observer,
)
from fsnet_jax.learned_detectors.cost import Cost
from fsnet_jax.runtime import mesh as mesh_lib
from fsnet_jax.runtime.interrupts import Interrupted
from fsnet_jax.runtime.workdir import open_workdir
from tests.fsnet_jax.experiments.comparison_stand_ins import (
  DATASETS,
  IMAGES,
  StandIns,
  batches,
)


@pytest.fixture(scope='module')
def stand_ins():
  with pytest.MonkeyPatch.context() as patch:
    found = StandIns()
    patch.setattr(cells, 'train', found.train)
    patch.setattr(evaluation, 'evaluate', found.evaluate)
    patch.setattr(ablation, '_train_cell', found.train_variant)
    patch.setattr(evaluation.data_sources, 'source', lambda *_: range(IMAGES))
    yield found


@pytest.fixture(scope='module')
def finished(stand_ins, tmp_path_factory):
  config = compare_fcn8.get_config()
  config.eval.datasets = DATASETS
  config.eval.detectors = ('fsnet', 'msp')
  config.compare.seeds = (5,)
  config.compare.fitted = ()
  config.compare.resamples = 40
  config.compare.segment_images = 3
  config.compare.ablation.variants = ('full', 'no_w4')
  comparison.check(config)
  workdir = tmp_path_factory.mktemp('comparison')
  comparison.run(config, workdir, 'train', {'command': 'main.py --config=x'})
  assert stand_ins.evaluated == ['phase1', 'fsnet']
  return config, workdir


def read(path):
  return json.loads(path.read_text())


def test_the_report_is_of_the_metrics(finished):
  _, workdir = finished
  content = read(workdir / 'report' / 'compare.json')
  metrics = read(workdir / 'seed5/fsnet/report/metrics.json')
  assert list(content['datasets']) == list(DATASETS)
  assert content['costs']['segmentation']['trainings_of_s'] == 1
  assert content['costs']['fsnet']['images'] == 40
  for name, entry in content['datasets'].items():
    failure = metrics['datasets'][name]['failure']
    gap = (
      failure['fsnet']['pooled']['auroc'] - failure['msp']['pooled']['auroc']
    )
    found = entry['differences']['msp']['auroc']
    assert found['difference'] == pytest.approx(gap)
    assert 0 < found['low'] < gap < found['high']
    assert entry['resolution_error']['auroc'] < 1e-3
    segments = entry['segments']['fsnet']['0.1']
    assert segments['error_segments']['mean'] > 0
    assert segments['flagged']['mean'] == pytest.approx(0.1, abs=0.01)


def test_table_iv_is_in_the_report(finished, stand_ins):
  _, workdir = finished
  assert stand_ins.variants[:2] == ['full', 'no_w4']
  content = read(workdir / 'report' / 'compare.json')
  for name in ('full', 'no_w4'):
    cell = read(workdir / 'ablation' / 'seed5' / name / 'report/metrics.json')
    own = cell['datasets'][DATASETS[1]]['failure']['fsnet']['pooled']['auroc']
    found = content['ablation'][name]
    assert found['seeds'] == [5]
    assert found['datasets'][DATASETS[1]]['auroc'] == [own]
  assert '| without w4 |' in (workdir / 'report' / 'tables.md').read_text()
  assert 'Table IV' in (workdir / 'report' / 'report.html').read_text()


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
  finished, monkeypatch, tmp_path
):
  def fail(*_):
    raise UserError('there are only 3 training images.')

  monkeypatch.setattr(ablation, '_train_cell', fail)
  base = cells.variants_config(finished[0])
  with pytest.raises(UserError, match='Variant data_20, seed 5: there are'):
    list(ablation.cells(base, ('data_20',), (5,), tmp_path, train=True))


def test_every_image_is_kept_once(finished):
  _, workdir = finished
  report = workdir / 'seed5/fsnet/report'
  pooled = read(report / 'metrics.json')['datasets']['streets/day@blur2'][
    'failure'
  ]['msp']['pooled']
  with np.load(report / 'images_streets_day_blur2.npz') as arrays:
    counts = arrays['counts/msp']
    assert arrays['draws/msp'].shape == (6, 40)
  assert len(counts) == IMAGES
  assert counts.sum() == pooled['pixels']
  assert counts[:, 1].sum() == pooled['errors']


def test_files_are_whole(finished):
  _, workdir = finished
  html = (workdir / 'report' / 'report.html').read_text()
  for words in (
    'Table III',
    'Table II',
    '95 % intervals',
    'main.py --config=x',
  ):
    assert words in html
  for name in ('risk_coverage', 'risk_coverage_class_macro', 'qualitative'):
    with Image.open(workdir / 'report' / f'{name}.png') as picture:
      assert min(picture.size) > 100
  assert '| FSNet |' in (workdir / 'report' / 'tables.md').read_text()


def test_what_is_evaluated_is_not_evaluated_again(finished, stand_ins, capsys):
  config, workdir = finished
  before = (workdir / 'report' / 'compare.json').read_bytes()
  origin = {'command': 'main.py --config=x'}
  comparison.run(config, workdir, 'train', origin)
  comparison.run(config, workdir, 'evaluate', origin)
  assert stand_ins.evaluated == ['phase1', 'fsnet']
  assert (workdir / 'report' / 'compare.json').read_bytes() == before
  assert 'FSNet less each method' in capsys.readouterr().out
  # Other settings of the evaluation are not those of this one.
  config.compare.resamples = 41
  assert evaluation.read_seed(config, 5, workdir) is None
  config.compare.resamples = 40


def test_a_seed_more_and_another_network_beside(finished, stand_ins, tmp_path):
  config, workdir = finished
  config.compare.seeds = (5, 6)
  config.compare.beside = str(tmp_path / 'other')
  other = read(workdir / 'report' / 'compare.json') | {'network': 'unet'}
  (tmp_path / 'other' / 'report').mkdir(parents=True)
  (tmp_path / 'other/report/compare.json').write_text(json.dumps(other))
  comparison.run(config, workdir, 'train', {})
  assert stand_ins.evaluated == ['phase1', 'fsnet'] * 2
  content = read(workdir / 'report' / 'compare.json')
  assert content['seeds'] == [5, 6]
  gap = content['datasets']['streets/day']['failure']['msp']['pooled']['auroc']
  assert len(gap['seeds']) == 2 and gap['std'] > 0


def changed(config, **fields):
  other = copy.deepcopy(config)
  other.update_from_flattened_dict(
    {name.replace('__', '.'): value for name, value in fields.items()}
  )
  return other


def test_a_stopped_evaluation_goes_on_with_the_next_data_set(
  finished, stand_ins, tmp_path, monkeypatch
):
  config = changed(finished[0], compare__seeds=(5,), compare__beside='')
  monkeypatch.setattr(stand_ins, 'evaluated', [])
  monkeypatch.setattr(stand_ins, 'stop_before', DATASETS[1])
  with pytest.raises(Interrupted):
    comparison.run(config, tmp_path, 'train', {})
  report = tmp_path / 'seed5/fsnet/report'
  assert (report / 'part_streets_day.json').exists()
  assert not (report / 'comparison.json').exists()
  monkeypatch.setattr(stand_ins, 'stop_before', None)
  stand_ins.passes.clear()
  comparison.run(config, tmp_path, 'train', {})
  assert stand_ins.passes == [DATASETS[1]]
  assert not list(report.glob('part_*'))
  unbroken = finished[1] / 'seed5/fsnet/report'
  for name in ('metrics.json', 'comparison.json'):
    one, other = read(report / name), read(unbroken / name)
    assert one.pop('costs', None) == other.pop('costs', None)
    one.pop('config', None), other.pop('config', None)  # they name folders
    assert one == other
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
  finished, stand_ins, tmp_path, monkeypatch
):
  config = changed(finished[0], compare__seeds=(5,), compare__beside='')
  monkeypatch.setattr(stand_ins, 'evaluated', [])
  monkeypatch.setattr(stand_ins, 'stop_before', DATASETS[1])
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
  config = changed(finished[0], compare__seeds=(5,), compare__beside='')
  assert evaluation.read_seed(config, 5, finished[1]) is not None
  # The folder of a data set that is not evaluated is no matter.
  unused = changed(config, eval__roots__bdd100k='/elsewhere')
  assert evaluation.read_seed(unused, 5, finished[1]) is not None
  fewer = changed(config, eval__exact_pixels=0)
  assert evaluation.read_seed(fewer, 5, finished[1]) is None
  mended = changed(config, data__root='/elsewhere')
  assert evaluation.read_seed(mended, 5, finished[1]) is None
  variants = ablation.cells(
    cells.variants_config(mended),
    ('full',),
    (5,),
    finished[1] / 'ablation',
    train=False,
  )
  assert list(variants) == []
  # S alone too is judged on the other images.
  stand_ins.passes.clear()
  for one in (config, mended, mended):
    one = changed(one, eval__datasets=DATASETS[:1])
    stand_ins.train(one, 5, tmp_path)
    evaluation.run_seed(one, 5, tmp_path, {}, evaluation.data_versions(one))
  assert stand_ins.passes == [DATASETS[0]] * 4


def test_it_is_reported_from_its_folder_alone(
  finished, stand_ins, tmp_path, monkeypatch, capsys
):
  """Images, initial weights and the config file may be gone."""
  config = changed(finished[0], compare__seeds=(5,), compare__beside='')
  config.compilation_cache_dir = 'off'
  with open_workdir(finished[1], config):
    comparison.run(config, finished[1], 'train', {})
  workdir = tmp_path / 'moved'
  shutil.copytree(finished[1], workdir)
  report = workdir / 'report'
  before = {path: path.read_bytes() for path in report.iterdir()}

  def gone(*_):
    raise UserError('no images')

  monkeypatch.setattr(evaluation.data_sources, 'source', gone)
  stored = stored_run.get_config(str(workdir))
  cli.run(stored, workdir, 'evaluate', {})
  assert 'FSNet less each method' in capsys.readouterr().out
  assert before == {path: path.read_bytes() for path in report.iterdir()}
  # Held against another detector, it is another report.
  stored.compare.reference = 'msp'
  cli.run(stored, workdir, 'evaluate', {})
  (folder,) = (workdir / 'evaluations').iterdir()
  content = read(folder / 'compare.json')
  assert 'fsnet' in content['datasets'][DATASETS[0]]['differences']
  assert before == {path: path.read_bytes() for path in report.iterdir()}
  with pytest.raises(UserError, match='no images'):
    cli.run(stored, workdir, 'train', {})
  stored.eval.exact_pixels = 0
  with pytest.raises(UserError, match='no finished seed of this evaluation'):
    cli.run(stored, workdir, 'evaluate', {})


def test_another_network_or_fit_is_evaluated_anew(finished, tmp_path):
  config = changed(finished[0], compare__seeds=(5,), compare__beside='')
  workdir = tmp_path / 'copy'
  shutil.copytree(finished[1], workdir)
  assert evaluation.read_seed(config, 5, workdir) is not None
  for run in ('fsnet', 'phase1'):
    (workdir / 'seed5' / run / 'checkpoints' / '3').mkdir(parents=True)
    assert evaluation.read_seed(config, 5, workdir) is None
    (workdir / 'seed5' / run / 'checkpoints' / '3').rmdir()
    assert evaluation.read_seed(config, 5, workdir) is not None
  other = {'streets/day': {'images': 9}, 'streets/day@blur2': {'images': 10}}
  other['validation'] = {'images': 10}
  assert evaluation.read_seed(config, 5, workdir, other) is None


def test_an_older_evaluation_that_names_no_images_is_made_anew(
  finished, tmp_path
):
  config = changed(finished[0], compare__seeds=(5,))
  workdir = tmp_path / 'copy'
  shutil.copytree(finished[1], workdir)
  path = workdir / 'seed5/fsnet/report/comparison.json'
  content = read(path)
  del content['settings']['exact_pixels']
  path.write_text(json.dumps(content))
  assert evaluation.read_seed(config, 5, workdir) is None


def test_what_an_evaluation_was_of_is_remembered(finished, tmp_path):
  config = changed(finished[0], compare__seeds=(5,))
  workdir = tmp_path / 'copy'
  shutil.copytree(finished[1], workdir)
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


def _put(path, keys, value):
  """Writes another value at a path of keys of a JSON file."""
  content = read(path)
  *parents, last = keys
  node = content
  for key in parents:
    node = node[key]
  if value is ...:
    del node[last]
  else:
    node[last] = value
  path.write_text(json.dumps(content))


DAY = DATASETS[0]
POOLED = ('datasets', DAY, 'failure', 'msp', 'pooled')


@pytest.mark.parametrize(
  ('file', 'keys', 'value'),
  [
    ('comparison.json', ('segments',), ...),
    ('comparison.json', ('segments',), [1]),
    ('comparison.json', ('segments', DAY), 7),
    ('comparison.json', ('segments', DAY, 'msp'), ...),
    ('comparison.json', ('segments', DAY, 'msp', '0.1'), {}),
    ('comparison.json', ('segments', DAY, 'msp', '0.1', 'f1'), 'much'),
    ('comparison.json', ('segments', DAY, 'msp', '0.1', 'f1'), 10**400),
    ('comparison.json', ('resolution', DAY, 'msp', 'auroc'), [0.1]),
    ('comparison.json', ('resolution', DAY, 'msp', 'auroc'), ...),
    ('comparison.json', ('settings',), [[[]]]),
    ('metrics.json', ('datasets',), {}),
    ('metrics.json', ('datasets', DAY), None),
    ('metrics.json', POOLED, [1, 2]),
    ('metrics.json', (*POOLED, 'auroc'), 'high'),
    ('metrics.json', (*POOLED, 'auroc'), 10**400),
    ('metrics.json', (*POOLED[:-1], 'image_mean'), ...),
    ('metrics.json', (*POOLED[:-1], 'caught_at_budget'), {'0.1': {}}),
    ('../../phase1/report/metrics.json', POOLED, None),
  ],
)
def test_damaged_results_are_made_anew(finished, tmp_path, file, keys, value):
  config = changed(finished[0], compare__seeds=(5,))
  workdir = tmp_path / 'copy'
  shutil.copytree(finished[1], workdir)
  report = workdir / 'seed5/fsnet/report'
  assert evaluation.read_seed(config, 5, workdir) is not None
  _put(report / file, keys, value)
  assert evaluation.read_seed(config, 5, workdir) is None


@pytest.mark.parametrize(
  'text', ['', '[]', '{"settings": ', '[' * 100_000, '9' * 5000]
)
def test_results_that_are_no_object_are_made_anew(finished, tmp_path, text):
  config = changed(finished[0], compare__seeds=(5,))
  workdir = tmp_path / 'copy'
  shutil.copytree(finished[1], workdir)
  report = workdir / 'seed5/fsnet/report'
  for file in ('comparison.json', 'metrics.json'):
    whole = (report / file).read_text()
    (report / file).write_text(text)
    assert evaluation.read_seed(config, 5, workdir) is None
    (report / file).write_text(whole)
  assert evaluation.read_seed(config, 5, workdir) is not None


def test_draws_that_are_damaged_or_of_others_are_made_anew(finished, tmp_path):
  config = changed(finished[0], compare__seeds=(5,))
  workdir = tmp_path / 'copy'
  shutil.copytree(finished[1], workdir)
  path = workdir / 'seed5/fsnet/report/images_streets_day.npz'
  whole = path.read_bytes()
  with np.load(path) as arrays:
    kept = dict(arrays)
  draws = kept['draws/msp']
  for other in (draws[:3], draws[:, :7], draws.astype(np.float32), draws[0]):
    np.savez(path, **kept | {'draws/msp': other})
    assert evaluation.read_seed(config, 5, workdir) is None
  np.savez(path, **{k: v for k, v in kept.items() if k != 'draws/msp'})
  assert evaluation.read_seed(config, 5, workdir) is None
  for cut in (0, 10, len(whole) // 2, len(whole) - 1):
    path.write_bytes(whole[:cut])
    assert evaluation.read_seed(config, 5, workdir) is None
  path.write_bytes(whole)
  assert evaluation.read_seed(config, 5, workdir) is not None


def test_a_variant_whose_metrics_are_damaged_is_not_finished(
  finished, tmp_path
):
  config = cells.variants_config(finished[0])
  workdir = tmp_path / 'ablation'
  shutil.copytree(finished[1] / 'ablation', workdir)

  def found():
    return list(ablation.cells(config, ('full',), (5,), workdir, train=False))

  assert found()
  path = workdir / 'seed5/full/report/metrics.json'
  whole = path.read_text()
  for keys, value in (
    (POOLED, None),
    ((*POOLED, 'auroc'), [0.9]),
    (('datasets', DAY, 'failure', 'msp'), ...),
    (('datasets', DAY), ...),
    (('datasets',), 'streets'),
  ):
    _put(path, keys, value)
    assert not found(), keys
    path.write_text(whole)


def test_damaged_parts_do_not_count(finished, stand_ins, tmp_path, monkeypatch):
  config = changed(finished[0], compare__seeds=(5,), compare__beside='')
  monkeypatch.setattr(stand_ins, 'stop_before', DATASETS[1])
  with pytest.raises(Interrupted):
    comparison.run(config, tmp_path, 'train', {})
  report = tmp_path / 'seed5/fsnet/report'
  path = report / 'part_streets_day.json'
  parts = partial_results.Parts(report, DATASETS, read(path)['identity'])
  assert list(parts.read()) == [DAY]
  whole = path.read_text()
  for keys, value in (
    (('metrics',), []),
    (('metrics', 'failure', 'msp', 'pooled', 'auroc'), '0.9'),
    (('metrics', 'images'), -3),
    (('segments', 'msp'), ...),
    (('resolution', 'msp', 'aurc'), {}),
    (('ids',), ['a', 'b', 'c', 'd']),  # more than there are
    (('ids',), [3]),
    (('ids',), {}),
    (('panel',), 'yes'),
  ):
    _put(path, keys, value)
    assert not parts.read(), keys
    path.write_text(whole)
  with np.load(report / 'part_streets_day.npz') as arrays:
    kept = dict(arrays)
  label = kept['0/label']
  for name, other in (
    ('0/label', label[0]),
    ('0/image', kept['0/image'][:3]),
    ('0/valid', label),
    ('0/failure/msp', label),
  ):
    np.savez(report / 'part_streets_day.npz', **kept | {name: other})
    assert not parts.read(), name
  np.savez(report / 'part_streets_day.npz', **kept)
  assert list(parts.read()) == [DAY]


def test_the_example_reaches_the_process_that_draws_it(monkeypatch):
  seen, unseen = (
    per_image_observer.DatasetObserver(IMAGES, 0) for _ in range(2)
  )
  for place, (batch, maps) in enumerate(batches(0, ('fsnet', 'msp'))):
    # Image 5 is in the second batch, which the other process has.
    one = seen if place else unseen
    one(batch, {name: jax.tree.map(jnp.asarray, x) for name, x in maps.items()})
  assert unseen.example is None and seen.example is not None
  sent = []
  monkeypatch.setattr(per_image_observer.jax, 'process_count', lambda: 2)

  def gather(own):
    sent.append(own)
    return jax.tree.map(lambda *parts: np.stack(parts), *sent[::-1])

  multihost = per_image_observer.multihost_utils
  monkeypatch.setattr(multihost, 'process_allgather', gather)
  seen.share_example()
  unseen.share_example()
  want, found = (dataclasses.asdict(x.example) for x in (seen, unseen))
  assert found['id'] == 'image 5'
  jax.tree.map(np.testing.assert_array_equal, want, found)


def letterboxed(array, outside):
  """Each image between two bars of three columns, which anything may fill."""
  bars = [(0, 0)] * array.ndim
  bars[2] = (3, 3)
  return np.pad(array, bars, constant_values=outside)


def test_bars_of_a_letterbox_count_nowhere():
  plain, boxed = (
    per_image_observer.DatasetObserver(IMAGES, 4) for _ in range(2)
  )
  plain_images, boxed_images = (
    ImageTables(IMAGES, 2, mesh_lib.make_mesh()) for _ in range(2)
  )
  for batch, maps in batches(0, ('fsnet', 'msp')):
    on_device = jax.tree.map(jnp.asarray, maps)
    plain(batch, on_device)
    plain_images.add(batch, on_device)
    size = batch['label'].shape[1:]
    content = np.array([0, 3, size[0], size[1] + 3], np.int32)
    wide = {
      **batch,
      'image': letterboxed(batch['image'], 7),
      'label': letterboxed(batch['label'], 255),
      'content': np.tile(content, (4, 1)),
    }
    wide_maps = {
      'prediction': jnp.asarray(letterboxed(maps['prediction'], 2)),
      'valid': jnp.asarray(letterboxed(maps['valid'], False)),
      'score': {
        name: jnp.asarray(letterboxed(score, 99))
        for name, score in maps['score'].items()
      },
    }
    boxed(wide, wide_maps)
    boxed_images.add(wide, wide_maps)
  found = boxed_images.tables()
  for name, table in plain_images.tables().items():
    np.testing.assert_array_equal(found[name].counts, table.counts)
  assert boxed.segments() == plain.segments()
  plain.share_example()
  boxed.share_example()
  want, found = (dataclasses.asdict(x.example) for x in (plain, boxed))
  jax.tree.map(np.testing.assert_array_equal, want, found)


def test_a_failed_training_says_which(monkeypatch, tmp_path):
  config = compare_fcn8.get_config()

  class Fails:
    def __init__(self, cell, folder):
      pass

    def run(self):
      raise UserError('The loss is nan at step 3.')

  monkeypatch.setattr(cells, 'Trainer', Fails)
  folder = cells.seed_folder(tmp_path, 2)
  with pytest.raises(UserError, match='Seed 2, phase1: The loss is nan.*seeds'):
    alone = cells.alone_config(config, 2, folder)
    cells._train_run(alone, folder / 'phase1', 1, 8)
