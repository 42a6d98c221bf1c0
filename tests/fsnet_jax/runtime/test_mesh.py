"""How many images of a batch a process has."""

import jax
import pytest

from fsnet_jax.runtime import mesh


@pytest.mark.parametrize(
  ('batch_size', 'devices', 'local', 'expected'),
  [
    (8, 1, 1, 8),
    (8, 8, 4, 4),
    (32, 8, 4, 16),
    # Not refused where nothing is trained: fewer, or one a device.
    (7, 2, 2, 6),
    (4, 16, 8, 8),
  ],
)
def test_a_process_has_as_many_as_its_devices(
  monkeypatch, batch_size, devices, local, expected
):
  monkeypatch.setattr(jax, 'device_count', lambda: devices)
  monkeypatch.setattr(jax, 'local_device_count', lambda: local)
  assert mesh.local_batch_size(batch_size) == expected
