"""The script for FiftyOne, with a stand-in of it: it is no requirement."""

import importlib.util
import sys
import types

import numpy as np
from PIL import Image

from tests.fsnet_jax.monitor.predict import stub


def test_masks_are_the_class_index_plus_one(tmp_path, monkeypatch):
  source = stub.folder(tmp_path / 'in', 2)
  (source / 'bad.png').write_bytes(b'junk')
  stub.predict(source, tmp_path / 'out')
  script = tmp_path / 'out' / 'load_in_fiftyone.py'
  assert len(script.read_text().splitlines()) <= 32
  fiftyone = types.ModuleType('fiftyone')
  for name in ('Sample', 'Segmentation', 'Heatmap'):
    setattr(fiftyone, name, lambda *a, **k: types.SimpleNamespace(file=a, **k))
  monkeypatch.setitem(sys.modules, 'fiftyone', fiftyone)
  spec = importlib.util.spec_from_file_location('loader', script)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  assert list(stub.CLASSES.names) == module.CLASSES
  entry = {'name': 'b/00', 'row': {'image': 'b/00.png', 'failure_mean': 0.25}}
  sample = module.sample(entry)
  assert sample.file == (str(source / 'b' / '00.png'),)
  image = np.asarray(Image.open(source / 'b' / '00.png'))
  np.testing.assert_array_equal(sample.prediction.mask, image[..., 0] % 3 + 1)
  np.testing.assert_allclose(sample.failure.map, image[..., 1] / 255, atol=1e-5)
  assert sample.risk == 0.25
