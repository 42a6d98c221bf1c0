"""A network of one's own in the loop: a command trains it, in each cycle."""

import json
import os
import signal

import numpy as np
import pytest

from common_lib import checksums
from common_lib.errors import UserError
from configs import segxal_own
from fsnet_jax.runtime.interrupts import Interrupted
from segxal_jax.config import own_learner, validation
from segxal_jax.loop import training_command
from segxal_jax.loop.context import Run
from segxal_jax.loop.driver import run_loop
from segxal_jax.report import strips
from segxal_jax.report.write import report
from tests.segxal_jax.loop import killing
from tests.segxal_jax.loop.training_command import own_images, tiny_command


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Images of a user's own, 4 labelled, 6 not, 2 to test on."""
  root = tmp_path_factory.mktemp('own') / 'data'
  own_images.draw(root)
  return root


@pytest.fixture(scope='module')
def cache(tmp_path_factory):
  return tmp_path_factory.mktemp('cache')


def _starts(workdir):
  return (workdir / 'starts').read_text().split()


@pytest.fixture(scope='module')
def finished(folder, cache, tmp_path_factory):
  """Two cycles, unbroken."""
  workdir = tmp_path_factory.mktemp('unbroken')
  done = run_loop(own_images.config_of(folder, cache), workdir)
  assert (done.cycles, done.reason) == (2, '1 cycle is done')
  return workdir


def _metrics(workdir, cycle):
  path = workdir / 'cycles' / f'{cycle:03d}' / 'metrics.json'
  return json.loads(path.read_text())


def test_two_cycles_of_a_command_on_images_without_labels(finished):
  assert _starts(finished) == ['001', '002']
  first, second = (_metrics(finished, cycle) for cycle in (1, 2))
  assert (first['labelled_images'], second['labelled_images']) == (4, 6)
  assert first['pool_images'] == 10
  assert first['cost'] == {'images': 0, 'pixels': 0, 'clicks': 0}
  # Nobody can audit labels of images that have no other.
  assert second['training_labels'] == {'pixels': 0, 'wrong': 0}
  miou = second['datasets']['folder:test']['segmentation']['miou']
  assert miou > 0.9
  lines = (finished / 'pool' / 'ledger.jsonl').read_text().splitlines()
  asked = [json.loads(x)['index'] for x in lines if '"annotation"' in x]
  assert asked[:4] == [0, 1, 2, 3] and min(asked[4:]) >= 4


def test_its_report_shows_no_truth_that_there_is_not(
  finished, folder, cache, monkeypatch
):
  titles, grid = [], strips.canvas.grid

  def seen(tiles, *rest):
    titles.extend(title for title, _ in tiles)
    return grid(tiles, *rest)

  monkeypatch.setattr(strips.canvas, 'grid', seen)
  report(own_images.config_of(folder, cache), finished, {})
  assert 'Prediction' in titles and 'Cycle 1: EEM' in titles
  assert 'Ground truth' not in titles and 'True errors' not in titles
  assert 'Grad-CAM' not in titles
  page = (finished / 'report' / 'report.html').read_text()
  assert 'trained by config.learner.command' in page


@pytest.mark.parametrize(
  ('owner', 'name', 'calls', 'starts'),
  [
    (Run, 'save', 2, 1),  # The network is there, and no checkpoint of it.
    (checksums, 'write_json', 2, 2),  # It is not marked yet.
  ],
)
def test_killed_while_it_trains_the_command_runs_no_more_than_it_must(
  owner, name, calls, starts, finished, folder, cache, tmp_path, monkeypatch
):
  config = own_images.config_of(folder, cache)
  with monkeypatch.context() as patch:
    killing.killer(patch, owner, name, calls)
    with pytest.raises(killing.Killed):
      run_loop(config, tmp_path, (1, 'predict'))
  run_loop(config, tmp_path)
  assert _starts(tmp_path) == ['001'] * starts + ['002']
  killing.assert_same(finished, tmp_path)


def test_another_network_in_its_place_is_noticed(folder, cache, tmp_path):
  config = own_images.config_of(folder, cache)
  run_loop(config, tmp_path, (1, 'explain'))
  model = tmp_path / 'cycles' / '001' / 'model.onnx'
  tiny_command.write(model, np.eye(5, 3), np.zeros(5))
  with pytest.raises(UserError, match='not the network that cycle 1'):
    run_loop(config, tmp_path)


@pytest.mark.parametrize(
  ('what', 'words'),
  [
    ('fail', r'ended with exit code 3 in cycle 1 \(epoch 1.* / out of memory'),
    ('nothing', r'ended well but wrote no .*001/model.onnx'),
    ('narrow', r'model.onnx.*4'),
  ],
)
def test_a_command_that_fails_can_be_corrected(
  what, words, folder, cache, tmp_path, capfd
):
  wrong = own_images.config_of(
    folder, cache, learner__command=f'{own_images.COMMAND} {what}'
  )
  with pytest.raises(UserError, match=words) as error:
    run_loop(wrong, tmp_path)
  assert '\n' not in str(error.value)
  assert '  command | epoch 1: loss 0.5\n' in capfd.readouterr().err
  run_loop(own_images.config_of(folder, cache), tmp_path, (1, 'predict'))
  assert _starts(tmp_path) == ['001', '001']


def test_ctrl_c_reaches_the_command_and_nothing_is_lost(
  folder, cache, tmp_path, monkeypatch
):
  say = training_command.say

  def interrupting(line):
    say(line)
    if line.endswith('waiting'):
      os.kill(os.getpid(), signal.SIGINT)

  config = own_images.config_of(
    folder, cache, learner__command=f'{own_images.COMMAND} wait'
  )
  with monkeypatch.context() as patch:
    patch.setattr(training_command, 'say', interrupting)
    with pytest.raises(Interrupted, match='SIGINT while the command of cycle'):
      run_loop(config, tmp_path)
  run_loop(own_images.config_of(folder, cache), tmp_path, (1, 'predict'))
  assert _starts(tmp_path) == ['001', '001']


def test_with_features_there_is_grad_cam_and_a_core_set(
  folder, cache, tmp_path, capfd
):
  config = own_images.config_of(
    folder,
    cache,
    learner__command=f'{own_images.COMMAND} features',
    acquisition__strategy='coreset',
  )
  run_loop(config, tmp_path, (1, 'annotate'))
  assert 'Grad-CAM is left out' not in capfd.readouterr().err
  asked = sorted((tmp_path / 'cycles/001/questions').glob('*.npz'))
  assert len(asked) == 2
  with np.load(asked[0]) as maps:
    assert maps['cam'].max() == 1 and maps['pae'].shape == own_images.SIZE
  with np.load(tmp_path / 'cycles/001/scores.npz') as scores:
    assert scores['embedding'].shape == (6, 3)
    assert scores['centres'].shape == (4, 3)
  plain = own_images.config_of(folder, cache, acquisition__strategy='coreset')
  with pytest.raises(UserError, match='coreset compares features'):
    run_loop(plain, tmp_path / 'plain')
  assert not (tmp_path / 'plain' / 'cycles/001/trained.json').exists()


def test_a_given_network_asks_first_and_no_image_need_have_a_label(
  cache, tmp_path, capfd
):
  root = tmp_path / 'data'
  own_images.draw(root, labelled=0)
  tiny_command.write(tmp_path / 'mine.onnx', np.eye(5, 3) * 9, np.zeros(5))
  config = own_images.config_of(
    root,
    cache,
    segmentation__name='onnx',
    segmentation__path=str(tmp_path / 'mine.onnx'),
    acquisition__strategy='entropy',
  )
  run_loop(config, tmp_path / 'run')
  assert _starts(tmp_path / 'run') == ['002']
  assert 'mine.onnx as it is' in capfd.readouterr().err
  assert _metrics(tmp_path / 'run', 1)['labelled_images'] == 0
  assert _metrics(tmp_path / 'run', 2)['labelled_images'] == 2


@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    ({'oracle__kind': 'simulated_human'}, "6 images of .* set it to 'label_st"),
    ({'pool__holdout': 1}, 'config.pool.holdout is 1'),
    ({'pool__num_initial': 2}, 'config.pool.num_initial is 2'),
  ],
)
def test_what_needs_missing_labels_is_refused(
  changes, words, folder, cache, tmp_path
):
  config = own_images.config_of(folder, cache, **changes)
  with pytest.raises(UserError, match=words):
    run_loop(config, tmp_path)


@pytest.mark.parametrize('argument', ['streets', 'folder'])
def test_the_shipped_config_passes_its_check(argument):
  config = segxal_own.get_config(argument)
  validation.check(config)
  own_learner.check_program(config)
  config.learner.command = 'no-such-program {pool} {model}'
  with pytest.raises(UserError, match="begins with 'no-such-program'"):
    own_learner.check_program(config)


@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    ({'learner__command': ''}, 'config.learner.command is empty'),
    ({'learner__command': 'train {pool}'}, 'lacks {model}'),
    ({'learner__command': 'train "{pool} {model}'}, 'close each quotation'),
    ({'learner__kind': 'own'}, "kind is 'own'"),
    ({'acquisition__strategy': 'vaal'}, 'choose one of random, entropy,'),
    ({'acquisition__strategy': 'deal_ds'}, 'choose one of random, entropy,'),
    ({'acquisition__strategy': 'failure'}, 'choose one of random, entropy,'),
    ({'acquisition__strategy': 'badge'}, 'choose one of random, entropy,'),
    ({'eem__gamma': 0.5}, 'config.eem.gamma'),
    ({'cam__method': 'hirescam'}, 'config.cam.method'),
    ({'init__backbone': 'x.npz'}, 'config.init.backbone'),
    ({'segmentation__name': 'logits'}, "'logits', which"),
    (
      {'learner__kind': 'own', 'segmentation__name': 'onnx'},
      "set config.learner.kind to 'command'",
    ),
  ],
)
def test_a_mistake_is_one_sentence(changes, words, tmp_path):
  with pytest.raises(UserError, match=words):
    own_images.config_of(tmp_path, tmp_path, **changes)
