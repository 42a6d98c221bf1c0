"""Who writes TensorBoard's events."""

import jax
import numpy as np

from fsnet_jax.runtime.writers import create_writer


def test_only_the_first_process_writes(tmp_path, monkeypatch):
  for index in (0, 1):
    monkeypatch.setattr(jax, 'process_index', lambda: index)  # noqa: B023
    writer = create_writer(tmp_path / str(index))
    writer.write_scalars(1, {'loss': 0.5})
    writer.write_images(1, {'map': np.zeros((1, 2, 2, 3), np.uint8)})
    writer.flush()
    writer.close()
  assert list((tmp_path / '0').glob('events.out.tfevents.*'))
  assert not (tmp_path / '1').exists()
