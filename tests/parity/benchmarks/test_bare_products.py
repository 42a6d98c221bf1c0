"""What a convolution's products alone are timed on."""

import numpy as np
import pytest

from benchmarks.subjects import bare_products


@pytest.mark.parametrize(
  ('part', 'shape', 'axes'),
  [
    ('forward', (7, 3), ('kp', 'ko')),
    ('input gradient', (7, 5), ('op', 'ko')),
    ('kernel gradient', (5, 3), ('kp', 'op')),
  ],
)
def test_every_order_gives_the_same_products(part, shape, axes):
  size = {'p': 7, 'k': 5, 'o': 3}
  found = [call() for call in bare_products.calls(part, 7, 5, 3)]
  rng = np.random.default_rng(0)
  drawn = [
    rng.standard_normal([size[a] for a in names], np.float32) for names in axes
  ]
  left = {'forward': 'po', 'input gradient': 'pk', 'kernel gradient': 'ko'}
  rule = f'{",".join(axes)}->{left[part]}'
  expected = np.einsum(rule, *drawn)
  assert len(found) >= 3 and expected.shape == shape
  for result in found:
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)
