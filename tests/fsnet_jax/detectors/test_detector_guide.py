"""The example of docs/guide/detectors.md works as printed."""

import re

import numpy as np
from scipy.special import softmax

from fsnet_jax.detectors import DETECTORS
from tests.fsnet_jax.detectors import test_detectors
from tests.paths import ROOT

GUIDE = ROOT / 'docs' / 'guide' / 'detectors.md'


def _margin(monkeypatch):
  block = re.search(r'```python\n(.*?)```', GUIDE.read_text(), re.DOTALL)
  namespace = {}
  exec(block.group(1), namespace)
  detector = namespace['Margin']()
  monkeypatch.setitem(DETECTORS, detector.name, detector)
  return detector


def test_example_keeps_the_contract(monkeypatch):
  detector = _margin(monkeypatch)
  for scale in (0.0, 1.0, 1e4):
    test_detectors.test_contract(detector.name, scale)


def test_example_is_the_margin(monkeypatch):
  logits, _ = test_detectors._random()
  best = np.sort(softmax(logits, axis=-1), axis=-1)
  score = _margin(monkeypatch).score(test_detectors._forward(logits))
  np.testing.assert_allclose(
    score, 1 - (best[..., -1] - best[..., -2]), rtol=1e-4, atol=1e-6
  )


def test_guide_names_every_detector():
  text = GUIDE.read_text()
  assert [name for name in DETECTORS if f'| `{name}` |' not in text] == []
