"""Fits: finished once, resumed to the same bits, loaded where asked."""

import copy
import dataclasses
import json
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common_lib.errors import UserError
from fsnet_jax import cli, detectors, learned_detectors
from fsnet_jax.builders.fits import fit_options
from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.evaluation import identity
from fsnet_jax.learned_detectors import (
  cross_predictions,
  fit_loop,
  fit_metadata,
  frozen_segmentation,
)
from fsnet_jax.learned_detectors.tcp import make_confidence
from fsnet_jax.runtime.interrupts import Interrupted
from fsnet_jax.steps.eval_step import make_eval_step
from fsnet_jax.training import from_config
from tests.fsnet_jax.learned_detectors import small_fit
from tests.fsnet_jax.models import quick, small_networks

pytestmark = pytest.mark.slow


def _changed(config, **changes):
  other = copy.deepcopy(config)
  for path, value in changes.items():
    *parents, leaf = path.split('__')
    node = other
    for parent in parents:
      node = node[parent]
    node[leaf] = value
  return other


@pytest.fixture(scope='module')
def fits(frozen_config, tmp_path_factory):
  """Every detector, fitted: name -> (folder, cost)."""
  base = tmp_path_factory.mktemp('fits')
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(from_config, 'trainer', small_fit.QuickTrainer)
    return {
      name: (
        base / name,
        learned_detectors.fit(name, frozen_config, base / name),
      )
      for name in learned_detectors.FITTED
    }


def test_costs(fits):
  expected = {  # steps x batch size
    'tcp': (0, 6),
    'tcp_synthcp': (0, 6),
    'direct': (0, 6),
    'synthcp': (0, 4 + 6),
    'ensemble': (1, small_fit.STEPS * 2),
    'class_logistic': (0, 6),
    'class_logistic_shift': (0, 6),
    'tcp_shift': (0, 6),
    'direct_shift': (0, 6),
    'synthcp_shift': (0, 4 + 6),
    'obsnet': (0, 6),
  }
  for name, (folder, cost) in fits.items():
    assert (cost.trainings_of_s, cost.images) == expected[name]
    assert cost.seconds > 0
    stored = json.loads((folder / 'cost.json').read_text())
    assert stored == dataclasses.asdict(cost)


def test_finished_fit_is_left_alone(fits, frozen_config, monkeypatch):
  monkeypatch.setattr(fit_loop, 'run', None)
  folder, cost = fits['tcp']
  assert learned_detectors.fit('tcp', frozen_config, folder) == cost


def test_folder_of_another_fit_is_refused(fits, frozen_config):
  folder, _ = fits['tcp']
  other = _changed(frozen_config, fit__tcp__steps=4)
  with pytest.raises(UserError, match='fit.tcp.steps was 3 and is now 4'):
    learned_detectors.fit('tcp', other, folder)
  with pytest.raises(UserError, match='another detector'):
    learned_detectors.fit('direct', frozen_config, folder)
  # Fields of other detectors are none of its business.
  other = _changed(frozen_config, fit__direct__steps=9)
  learned_detectors.fit('tcp', other, folder)


def test_tcp_as_synthcp_feeds_it_is_tcp_with_its_options(
  fits, frozen_config, tmp_path
):
  config = _changed(
    frozen_config,
    fit__tcp__input='synthcp',
    fit__tcp__alignment='stretched',
  )
  learned_detectors.fit('tcp', config, tmp_path)
  found = {
    name: learned_detectors.load(kind, folder).variables
    for name, kind, folder in (
      ('by options', 'tcp', tmp_path),
      ('by name', 'tcp_synthcp', fits['tcp_synthcp'][0]),
      ('mended', 'tcp', fits['tcp'][0]),
    )
  }
  jax.tree.map(
    np.testing.assert_array_equal, found['by options'], found['by name']
  )
  same = jax.tree.map(np.array_equal, found['by name'], found['mended'])
  assert not all(jax.tree.leaves(same))
  # Its options are those of fit.tcp, which name it in a message.
  more = _changed(frozen_config, fit__tcp__steps=4)
  with pytest.raises(UserError, match='fit.tcp.steps was 3 and is now 4'):
    learned_detectors.fit('tcp_synthcp', more, fits['tcp_synthcp'][0])
  many = _changed(frozen_config, fit__tcp__batch_size=7)
  with pytest.raises(UserError, match='fit.tcp.batch_size is 7.*only 6'):
    learned_detectors.fit('tcp_synthcp', many, tmp_path / 'many')
  odd = _changed(frozen_config, segmentation__name='unet')
  with pytest.raises(UserError, match='tcp_synthcp.*unet'):
    learned_detectors.check_options('tcp_synthcp', odd)


def test_interrupted_fit_resumes_to_the_same_bits(
  fits, frozen_config, tmp_path, monkeypatch
):
  with monkeypatch.context() as patch:
    patch.setattr(
      fit_loop.loop, '_stop_wanted', lambda stop, number: number == 1
    )
    patch.setattr(fit_loop.StopRequest, 'signal_name', 'SIGTERM')
    with pytest.raises(Interrupted, match='saved at step 1 of TCP'):
      learned_detectors.fit('tcp', frozen_config, tmp_path)
  assert not (tmp_path / 'cost.json').exists()
  spent = json.loads((tmp_path / 'seconds.json').read_text())
  cost = learned_detectors.fit('tcp', frozen_config, tmp_path)
  assert cost.images == 6 and cost.seconds > spent > 0
  unbroken = learned_detectors.load('tcp', fits['tcp'][0]).variables
  resumed = learned_detectors.load('tcp', tmp_path).variables
  jax.tree.map(np.testing.assert_array_equal, unbroken, resumed)


def test_a_damaged_fit_is_done_again_from_the_checkpoint_before(
  frozen_config, tmp_path, capsys
):
  """A finished one too, of which the command would else do nothing."""
  config = _changed(frozen_config, checkpoint_every_steps=2)
  learned_detectors.fit('tcp', config, tmp_path)
  whole = learned_detectors.load('tcp', tmp_path).variables
  (tmp_path / 'checkpoints' / '3' / 'state' / 'manifest.ocdbt').unlink()
  with pytest.raises(UserError, match='3 is damaged.*fitted it again, which'):
    learned_detectors.load('tcp', tmp_path)
  capsys.readouterr()
  learned_detectors.fit('tcp', config, tmp_path)
  said = capsys.readouterr().err
  assert 'checkpoints/3 is damaged (its arrays cannot be read)' in said
  assert 'TCP: resuming from step 2' in said
  again = learned_detectors.load('tcp', tmp_path).variables
  jax.tree.map(np.testing.assert_array_equal, whole, again)


@pytest.fixture(scope='module')
def said(fits, frozen_config):
  """What every fit says of two images, and the parts it is made of."""
  network, s = frozen_segmentation.load(frozen_config)
  loaded = {name: learned_detectors.load(name, fits[name][0]) for name in fits}
  rng = np.random.default_rng(0)
  images = jnp.asarray(rng.uniform(0, 255, (2, 32, 64, 3)), jnp.float32)

  @quick.jit
  def outputs(variables, s, images):
    segmentation = network.apply(s, images)
    forward = ForwardPass(images, segmentation, jnp.zeros((2, 32, 64)))
    scores = {
      name: fit.outputs(variables[name], s, forward)
      for name, fit in loaded.items()
    }
    member = network.apply(variables['ensemble']['member1'], images).logits
    return scores, segmentation.logits, member

  variables = {name: fit.variables for name, fit in loaded.items()}
  return variables, s, *outputs(variables, s, images)


def test_every_fit_scores_every_pixel(said):
  for name, score in said[2].items():
    # Of an ensemble both its entropy and what its members disagree about.
    more = (2,) if name == 'ensemble' else ()
    assert score.shape == (2, 32, 64, *more), name
    assert score.dtype == jnp.float32, name
    assert np.isfinite(score).all() and np.ptp(score) > 0, name


def test_ensemble_is_the_entropy_of_the_mean(said):
  _, _, scores, logits, member = said
  assert np.abs(logits - member).max() > 0.01
  probs = (jax.nn.softmax(logits) + jax.nn.softmax(member)) / 2
  expected = -jnp.sum(probs * jnp.log(probs), axis=-1)
  np.testing.assert_allclose(scores['ensemble'][..., 0], expected, rtol=1e-5)
  own = [
    -jnp.sum(jax.nn.softmax(one) * jax.nn.log_softmax(one), axis=-1)
    for one in (logits, member)
  ]
  information = expected - sum(own) / 2
  np.testing.assert_allclose(scores['ensemble'][..., 1], information, atol=2e-6)
  assert (scores['ensemble'][..., 1] >= 0).all()


def test_s_stays_frozen_and_its_copy_learns(said):
  variables, s, *_ = said
  copy_of_s = variables['tcp']['params']['backbone']
  moved = jax.tree.map(
    lambda a, b: bool(np.any(a != b)), copy_of_s, s['params']
  )
  assert moved['encoder']['kernel']
  # The head does not look at the scores, so no gradient reaches them.
  assert not moved['score']['kernel']


def test_evaluation_step_hands_over_what_a_fit_says():
  network = small_networks.fsnet()
  shape = (*small_networks.SIZE, 3)
  params, stats = network.init(0, small_networks.SIZE)
  rng = np.random.default_rng(0)
  batch = {
    'image': rng.integers(0, 255, (2, *shape), dtype=np.uint8),
    'label': np.zeros((2, *small_networks.SIZE), np.uint8),
    'mask': np.ones(2, bool),
  }

  def outputs(variables, s, forward):
    assert set(s) == {'params', 'batch_stats'}
    return variables * forward.segmentation.logits[..., 1]

  step = make_eval_step(
    network,
    detectors.resolve(('max_logit', 'tcp')),
    num_classes=5,
    fitted={'tcp': outputs},
  )
  _, maps = quick.jit(step)(params, stats, batch, 1.0, {'tcp': 2.0})
  images = jnp.asarray(batch['image'], jnp.float32)
  logits = network.segment(params, stats, images)[0].logits
  np.testing.assert_allclose(
    maps['score']['tcp'], 2 * logits[..., 1], rtol=1e-4, atol=1e-6
  )


@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    ({'init__phase1': ''}, 'config.init.phase1 is empty'),
    ({'fit__predictions': 'test'}, 'config.fit.predictions'),
    ({'fit__tcp__backbone': 'none'}, 'config.fit.tcp.backbone'),
    ({'fit__tcp__input': 'raw'}, 'config.fit.tcp.input'),
    ({'width': 0.04}, 'whose width was 0.02 and is now 0.04'),
    (
      {'fit__predictions': 'folds', 'fit__num_folds': 7},
      'config.fit.num_folds is 7',
    ),
    (
      {'fit__predictions': 'folds', 'batch_size': 5},
      'batch_size was 2 and is now 5',
    ),
    ({'fit__tcp__batch_size': 7}, 'config.fit.tcp.batch_size is 7.*only 6'),
  ],
)
def test_mistakes_are_found_before_anything_is_trained(
  frozen_config, changes, words, tmp_path
):
  with pytest.raises(UserError, match=words):
    learned_detectors.fit(
      'tcp', _changed(frozen_config, **changes), tmp_path / 'fit'
    )
  assert not (tmp_path / 'fit').exists()


def test_what_synthcp_cannot_draw(frozen_config):
  odd = _changed(frozen_config, image_size=(33, 64))
  with pytest.raises(UserError, match='image_size'):
    learned_detectors.FITTED['synthcp'].check(fit_options('synthcp', odd))
  missing = _changed(frozen_config, fit__synthcp__vgg19='none.npz')
  with pytest.raises(UserError, match='config.fit.synthcp.vgg19 names none'):
    learned_detectors.FITTED['synthcp'].check(fit_options('synthcp', missing))


def test_folders_that_are_no_fit(fits, tmp_path):
  for name, folder, words in (
    ('tcp', '', 'set config.eval.fitted.tcp'),
    ('tcp', str(tmp_path), 'holds no fitted detector'),
    ('direct', str(fits['tcp'][0]), 'which holds tcp'),
  ):
    with pytest.raises(UserError, match=words):
      learned_detectors.check_fit(name, folder)
  unfinished = tmp_path / 'unfinished'
  unfinished.mkdir()
  text = (fits['tcp'][0] / 'fit.json').read_text()
  (unfinished / 'fit.json').write_text(text)
  with pytest.raises(UserError, match='not finished'):
    learned_detectors.load('tcp', unfinished)


@pytest.mark.parametrize(
  ('keys', 'value', 'words'),
  [
    (('detector',), 3, 'detector is no text'),
    (('detector',), ..., 'detector is no text'),
    (('segmentation',), ['a'], 'segmentation is no text'),
    (('config',), ..., 'config is no object'),
    (('config',), [1], 'config is no object'),
    (('config', 'a.b'), 1, "config has the field 'a.b'"),
    (('config', '__class__'), 1, 'config has the field'),
    (('config', 'width'), 10**400, 'config.width .* a number too large'),
    (('config', 'width'), float('nan'), 'config.width'),
    (('config', 'deep'), json.loads('[' * 60 + ']' * 60), 'nested too deep'),
    # What a network alone can tell.
    (('config', 'segmentation'), ..., 'no network can be made of'),
    (('config', 'segmentation', 'name'), 'resnet', "fit of tcp.*'resnet'"),
    (('config', 'width'), '1', 'no network can be made of'),
    (('config', 'image_size'), 7, 'no network can be made of'),
  ],
)
def test_a_damaged_description_is_one_sentence(
  fits, tmp_path, keys, value, words
):
  folder = fits['tcp'][0]
  stored = json.loads((folder / 'fit.json').read_text())
  *parents, last = keys
  node = stored
  for key in parents:
    node = node[key]
  if value is ...:
    del node[last]
  else:
    node[last] = value
  (tmp_path / 'fit.json').write_text(json.dumps(stored))
  shutil.copy(folder / 'cost.json', tmp_path)
  with pytest.raises(UserError, match=words) as error:
    learned_detectors.load('tcp', tmp_path)
  assert '\n' not in str(error.value) and len(str(error.value)) < 800


@pytest.mark.parametrize('text', ['', '[]', '{"detector": ', '[' * 100_000])
def test_a_description_that_is_no_object(tmp_path, text):
  (tmp_path / 'fit.json').write_text(text)
  with pytest.raises(UserError, match='fit.json, the description of a fit'):
    learned_detectors.check_fit('tcp', str(tmp_path))


def test_another_s_is_noticed(fits, frozen_config, capsys):
  _, s = frozen_segmentation.load(frozen_config)
  folder, trees = fits['tcp'][0], ({'segmentation': s['params']}, {})
  assert not learned_detectors.note_another_s('tcp', folder, *trees)
  assert capsys.readouterr().err == ''
  moved = jax.tree.map(lambda x: x + 1e-6, trees[0])
  assert learned_detectors.note_another_s('tcp', folder, moved, {})
  assert 'another S' in capsys.readouterr().err


def test_frozen_backbone_trains_a_head_alone(frozen_config):
  config = _changed(frozen_config, fit__tcp__backbone='frozen')
  network, s = frozen_segmentation.load(config)
  options = fit_options('tcp', config)
  params, stats = learned_detectors.FITTED['tcp'].initial(options, network, s)
  assert set(params) == {'head'} and stats == {}
  images = jnp.full((1, 32, 64, 3), 90.0)
  confidence = make_confidence(options, network)
  variables = {'params': params, 'stats': stats, 's': s}
  # Nothing of S is random or counted: training and evaluation agree.
  logits, after = quick.jit(
    lambda v, x: confidence(v, x, x, True, jax.random.key(0))
  )(variables, images)
  assert logits.shape == (1, 32, 64) and after == {}


def test_a_batch_that_a_fold_leaves_no_images_for(frozen_config):
  folds = {'fit__predictions': 'folds', 'fit__num_folds': 2}
  learned_detectors.check_data(
    'tcp', _changed(frozen_config, **folds, batch_size=3)
  )
  config = _changed(frozen_config, **folds, batch_size=4)
  with pytest.raises(UserError, match='leaves 3 of 6 training images'):
    learned_detectors.check_data('tcp', config)
  # Neither S's own predictions nor an ensemble need folds.
  learned_detectors.check_data('ensemble', config)
  config.fit.predictions = 'own'
  learned_detectors.check_data('tcp', config)


def test_an_s_that_is_still_in_training_is_refused(
  frozen_config, tmp_path, monkeypatch
):
  path = pathlib.Path(frozen_config.init.phase1) / 'config.json'
  stored = json.loads(path.read_text())
  monkeypatch.setattr(
    frozen_segmentation, 'last_step', lambda folder: small_fit.STEPS
  )
  for phase1, phase2, fine in ((2, 4, True), (1, 1, True), (1, 4, False)):
    changes = {'phase1_steps': phase1, 'phase2_steps': phase2}
    (tmp_path / 'config.json').write_text(json.dumps(stored | changes))
    if fine:
      frozen_segmentation._check_finished(tmp_path)
      continue
    with pytest.raises(UserError, match='has reached step 2 of 5'):
      frozen_segmentation._check_finished(tmp_path)


def test_the_command_fits_once(frozen_config, tmp_path, monkeypatch):
  config = _changed(
    frozen_config,
    task='fit',
    fit__detector='direct',
    eval__detectors=('msp',),
    eval__datasets=('streets/day',),
    data__num_test=2,
    compilation_cache_dir='off',
  )
  folder = tmp_path / 'fit'
  with monkeypatch.context() as patch:
    patch.setattr(
      fit_loop.loop, '_stop_wanted', lambda stop, number: number == 2
    )
    patch.setattr(fit_loop.StopRequest, 'signal_name', 'SIGINT')
    with pytest.raises(Interrupted, match='saved at step 2 of Direct'):
      cli.run(config, folder, 'train', {})
  cli.run(config, folder, 'train', {})
  assert json.loads((folder / 'config.json').read_text())['task'] == 'fit'
  assert json.loads((folder / 'cost.json').read_text())['images'] == 6
  learned_detectors.check_fit('direct', str(folder))
  monkeypatch.setattr(fit_loop, 'run', None)
  cli.run(config, folder, 'train', {})  # Nothing is left to do.
  with pytest.raises(UserError, match='fit.direct.steps was 3 and is now 4'):
    cli.run(_changed(config, fit__direct__steps=4), folder, 'train', {})
  # What was refused has not claimed it.
  stored = json.loads((folder / 'config.json').read_text())
  assert stored['fit']['direct']['steps'] == 3
  with pytest.raises(UserError, match='config.eval.fitted.direct=') as error:
    cli.run(config, folder, 'evaluate', {})
  assert '\n' not in str(error.value)


def test_fits_and_saves_are_told_apart(fits, frozen_config, tmp_path):
  folders = [folder for folder, _ in fits.values()]
  found = {identity.of_fit(folder) for folder in folders}
  assert len(found) == len(folders)
  shutil.copytree(folders[0], tmp_path / 'copy')
  assert identity.of_fit(tmp_path / 'copy') in found
  saves = []
  for name in 'ab':
    small_fit.save_run(frozen_config, tmp_path / name, seed=0)
    saves.append(identity.of_checkpoints(tmp_path / name))
  assert saves[0].keys() == saves[1].keys() == {str(small_fit.STEPS)}
  assert saves[0] != saves[1]
  assert saves[0] == identity.of_checkpoints(tmp_path / 'a')


def test_a_fit_that_saved_nothing_gives_its_folder_up(frozen_config, tmp_path):
  def claim(name, fingerprint, **changes):
    config = _changed(frozen_config, **changes)
    fit_metadata.claim(tmp_path, name, name, config, fingerprint)
    return fit_metadata.read(tmp_path)

  claim('tcp', 'one')
  assert claim('direct', 'two', fit__direct__steps=5)['detector'] == 'direct'
  # What it would have learnt from is a work of its own.
  (tmp_path / 'failure_data' / 'fold0' / 'checkpoints' / '2').mkdir(
    parents=True
  )
  assert claim('tcp', 'one')['segmentation'] == 'one'
  (tmp_path / 'checkpoints' / '3').mkdir(parents=True)
  claim('tcp', 'one')
  with pytest.raises(UserError, match=r'another S \(one, now two\)'):
    claim('tcp', 'two')
  with pytest.raises(UserError, match='fit.tcp.steps was 3 and is now 4'):
    claim('tcp', 'one', fit__tcp__steps=4)


def test_so_does_failure_data(frozen_config, tmp_path):
  cross_predictions._claim(frozen_config, tmp_path)
  other = _changed(frozen_config, batch_size=3)
  cross_predictions._claim(other, tmp_path)
  (tmp_path / 'fold0' / 'checkpoints' / '2').mkdir(parents=True)
  cross_predictions._claim(other, tmp_path)
  with pytest.raises(UserError, match='batch_size was 3 and is now 2'):
    cross_predictions._claim(frozen_config, tmp_path)
