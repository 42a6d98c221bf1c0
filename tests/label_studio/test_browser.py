"""A person corrects a region with the mouse; the next cycle trains on it."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common_lib import class_table
from configs import segxal_manual
from fsnet_jax.runtime.interrupts import Interrupted
from segxal_jax.config import builders, validation
from segxal_jax.loop.driver import run_loop
from segxal_jax.pool.ledger import Ledger
from segxal_jax.pool.sources import AnnotatedSource
from segxal_jax.queries import storage
from tests.label_studio import small_run
from tests.label_studio.server import EMAIL, VENV

HEIGHT, WIDTH = small_run.SIZE
TRAIN = 16
OPACITY = 0.55


@pytest.fixture
def config(server, tmp_path, monkeypatch):
  monkeypatch.setenv('LABEL_STUDIO_URL', server.url)
  monkeypatch.setenv('LABEL_STUDIO_API_KEY', server.token)
  config = segxal_manual.get_config()
  fields = {'data.cache_dir': str(tmp_path / 'data'), 'pool.num_query': 1}
  config.update_from_flattened_dict(small_run.FIELDS | fields)
  validation.check(config)
  return config


def _browse(server, folder: Path, steps) -> list:
  """Lets a person do these steps; returns where the image was."""
  plan = {
    'url': server.url,
    'email': EMAIL,
    'password': server.password,
    'chromium': shutil.which('chromium'),
    'profile': str(folder / 'profile'),
    'steps': [['login'], *steps],
  }
  file = folder / 'plan.json'
  file.write_text(json.dumps(plan))
  program = Path(__file__).parent / 'browser.py'
  done = subprocess.run(
    [str(VENV / 'bin' / 'python'), str(program), str(file)],
    capture_output=True,
    text=True,
    timeout=900,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout)['canvas']


def test_what_the_mouse_corrects_is_what_the_next_cycle_learns(
  server, config, tmp_path
):
  workdir = tmp_path / 'streets'
  with pytest.raises(Interrupted, match='Waiting for 1 of 1 annotations at'):
    run_loop(config, workdir)
  known = json.loads((workdir / 'oracle/label_studio.json').read_text())
  task = server.tasks(known['project'])[0]
  pictures = Path(os.environ.get('LABEL_STUDIO_PICTURES', tmp_path))
  page = f'/projects/{known["project"]}/data?task={task["id"]}'
  stroke = [(0.3, 0.3), (0.5, 0.35), (0.7, 0.3)]
  box = _browse(
    server,
    tmp_path,
    [
      ['open', page],
      ['wait_for_task'],
      ['canvas'],
      ['picture', str(pictures / 'label_studio_task.png')],
      ['choose_label', 'train'],
      ['drag', stroke],
      ['picture', str(pictures / 'label_studio_corrected.png')],
      ['submit'],
    ],
  )
  index = int(task['data']['key'].rpartition('/')[2])
  file = storage.path(workdir / 'cycles' / '001' / 'questions', index)
  asked = storage.read(file)
  _assert_seen(pictures / 'label_studio_task.png', box, asked)
  annotation = server.ask('GET', f'/api/tasks/{task["id"]}/annotations/')[0]
  drawn = [r for r in annotation['result'] if r['origin'] == 'manual']
  assert [r['value']['brushlabels'] for r in drawn] == [['train']]
  stroked = _by_the_servers_kit(drawn[0], tmp_path)
  assert WIDTH / 3 < stroked.sum() < stroked.size / 2
  # The mouse went from the left to the right at a third of the height.
  rows, columns = np.nonzero(stroked)
  assert rows.min() / HEIGHT > 0.1 and rows.max() / HEIGHT < 0.6
  assert columns.min() / WIDTH < 0.35 and columns.max() / WIDTH > 0.65

  done = run_loop(config, workdir)
  assert done.cycles == 2
  expected = np.where(stroked, TRAIN, asked.prediction)
  _assert_learnt(config, workdir, index, expected)


def _assert_seen(picture: Path, box, asked) -> None:
  """The screen shows the prediction over the image, and the prompt points."""
  screen = np.asarray(Image.open(picture).convert('RGB')).astype(float)
  x, y, width, height = box
  # At the middle of each pixel of the image, which is enlarged.
  rows = (y + (np.arange(HEIGHT) + 0.5) * height / HEIGHT).astype(int)
  columns = (x + (np.arange(WIDTH) + 0.5) * width / WIDTH).astype(int)
  shown = screen[np.ix_(rows, columns)]
  colours = class_table.CITYSCAPES.colorize(asked.prediction)
  blend = (1 - OPACITY) * asked.image + OPACITY * colours
  difference = np.median(abs(shown - blend))
  assert (
    difference < 10 and difference < np.median(abs(shown - asked.image)) / 2
  )
  assert asked.regions
  for region in asked.regions:
    red, green, blue = shown[region.row, region.column]
    assert red < 90 and green > 200 and blue > 200, (region, red, green, blue)


def _by_the_servers_kit(region, folder: Path) -> np.ndarray:
  """Where the stroke is, decoded by Label Studio's own code."""
  file = folder / 'region.json'
  file.write_text(json.dumps(region['value']['rle']))
  program = (
    'import json, sys; from label_studio_sdk.converter.brush import decode_rle;'
    'print(json.dumps(decode_rle(json.load(open(sys.argv[1]))).tolist()))'
  )
  argv = [str(VENV / 'bin' / 'python'), '-c', program, str(file)]
  done = subprocess.run(argv, capture_output=True, text=True, check=True)
  return (
    np.array(json.loads(done.stdout)).reshape(HEIGHT, WIDTH, 4)[..., 3] >= 128
  )


def _assert_learnt(config, workdir, index, expected) -> None:
  """The training data of cycle 2 hold the prediction and the stroke."""
  ids = [str(scene['id']) for scene in _scenes(config)]
  ledger = Ledger(workdir / 'pool', ids)
  labelled = ledger.labelled(2)
  assert index in labelled and index not in ledger.labelled(1)
  source = AnnotatedSource(
    _scenes(config),
    [(i, str(ledger.path(a)), a.sha256) for i, a in labelled.items()],
    ledger.num_classes,
  )
  scene = source[list(labelled).index(index)]
  np.testing.assert_array_equal(scene['label'], expected)
  assert labelled[index].cost.clicks > 0


def _scenes(config):
  return builders.pool_source(config)
