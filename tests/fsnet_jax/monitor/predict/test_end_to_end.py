"""`--mode=predict` on a finished run, as the command has it."""

import json
import shutil

import jaxtyping
import numpy as np
import pytest
from PIL import Image

from common_lib.errors import UserError
from fsnet_jax import cli
from fsnet_jax.monitor import Monitor, calibration_file
from tests.fsnet_jax.monitor import own_run
from tests.fsnet_jax.monitor.predict import stub

pytestmark = pytest.mark.slow
_ORIGIN = {'config_name': 'own', 'command': 'python main.py --mode=predict'}


@pytest.fixture(scope='module', autouse=True)
def no_shape_checks():
  """A restored state is a tree of other leaves while it is read."""
  jaxtyping.config.update('jaxtyping_disable', True)
  yield
  jaxtyping.config.update('jaxtyping_disable', False)


@pytest.fixture(scope='module')
def finished(shared, tmp_path_factory):
  """(config, folder) of a run over a function."""
  folder = tmp_path_factory.mktemp('function')
  config = own_run.config_of(shared, own_run.function(folder))
  own_run.run(config, folder / 'run')
  return config, folder / 'run'


def _tree(folder):
  return {path: path.stat().st_mtime_ns for path in folder.rglob('*')}


def test_a_run_predicts_what_its_monitor_says(finished, tmp_path):
  config, workdir = finished
  before = _tree(workdir)
  rng = np.random.default_rng(0)
  # Of the networks' size, and of another.
  images = [stub.picture(rng, 32, 64), stub.picture(rng, 40, 60)]
  for index, image in enumerate(images):
    stub.save(tmp_path / 'in' / f'{index}.png', image)
  (tmp_path / 'in' / '2.png').write_bytes(b'junk')
  output = tmp_path / 'out'
  source = str(tmp_path / 'in')
  cli.predict(config, workdir, source, output, _ORIGIN)
  assert _tree(workdir) == before
  monitor = Monitor.load(workdir)
  lines = (output / 'triage.jsonl').read_text().splitlines()
  rows = {row['image']: row for row in map(json.loads, lines)}
  for index, image in enumerate(images):
    result = monitor(image[None])
    labels = np.asarray(Image.open(output / 'labels' / f'{index}.png'))
    np.testing.assert_array_equal(labels, result.labels[0])
    failure = np.asarray(Image.open(output / 'failure' / f'{index}.png'))
    np.testing.assert_allclose(failure / 65535, result.failure[0], atol=1e-5)
    row = rows[f'{index}.png']
    assert row['failure_mean'] == pytest.approx(result.image_risk[0], abs=1e-6)
    assert row['flagged_share'] == pytest.approx(
      result.flagged.mean(), abs=1e-3
    )
  assert rows['2.png']['problem']
  page = (output / 'index.html').read_text()
  assert _ORIGIN['command'] in page and 'Not calibrated' in page
  # Its networks decide what is in the folder.
  state = json.loads((output / 'state' / 'state.json').read_text())
  assert len(state['networks']) == 64 and state['calibration'] == 'none'


def test_its_config_says_where_depth_is(finished, tmp_path):
  config, workdir = finished
  image = stub.picture(np.random.default_rng(0), 32, 64)
  stub.save(tmp_path / 'in' / 'x.png', image)
  stub.save(tmp_path / 'maps' / 'x.png', np.full((32, 64), 512, np.uint16))
  asked = config.copy_and_resolve_references().unlock()
  asked.predict.update(
    depth=str(tmp_path / 'maps'), depth_per_metre=256.0, segment_share=0.0
  )
  output = tmp_path / 'out'
  cli.predict(asked, workdir, str(tmp_path / 'in'), output, _ORIGIN)
  lines = (output / 'segments.jsonl').read_text().splitlines()
  assert lines and {json.loads(line)['depth_m'] for line in lines} == {2.0}


def test_a_guarantee_of_other_networks_is_refused(finished, tmp_path):
  config, workdir = finished
  calibration_file.write(workdir, stub.calibration())
  try:
    with pytest.raises(UserError, match='trained on since'):
      cli.predict(config, workdir, str(tmp_path), tmp_path / 'out', _ORIGIN)
  finally:
    (workdir / calibration_file.FILE).unlink()
  assert not (tmp_path / 'out').exists()


def test_a_run_of_an_older_version_has_a_monitor(finished, tmp_path):
  """Which knew no calibration, no prediction."""
  workdir = shutil.copytree(finished[1], tmp_path / 'old')
  path = workdir / 'config.json'
  config = json.loads(path.read_text())
  del config['calibrate'], config['predict']
  path.write_text(json.dumps(config))
  image = stub.picture(np.random.default_rng(0), 32, 64)[None]
  np.testing.assert_array_equal(
    Monitor.load(workdir)(image).failure,
    Monitor.load(finished[1])(image).failure,
  )
