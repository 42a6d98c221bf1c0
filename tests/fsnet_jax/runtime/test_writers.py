"""Who writes TensorBoard's events."""

import subprocess
import sys

import jax
import numpy as np
import pytest
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.util import tensor_util

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


def test_calls_keep_their_order(tmp_path):
  writer = create_writer(tmp_path)
  for step in range(1, 6):
    writer.write_scalars(step, {'loss': 1 / step})
  writer.close()
  events = event_accumulator.EventAccumulator(str(tmp_path))
  events.Reload()
  found = [
    (event.step, float(tensor_util.make_ndarray(event.tensor_proto)))
    for event in events.Tensors('loss')
  ]
  assert [step for step, _ in found] == [1, 2, 3, 4, 5]
  np.testing.assert_allclose([v for _, v in found], 1 / np.arange(1, 6))


@pytest.mark.parametrize('last', ['flush', 'close'])
def test_what_cannot_be_written_is_raised_at_the_end_at_the_latest(
  tmp_path, last
):
  (tmp_path / 'taken').write_text('a file where the folder should be')
  writer = create_writer(tmp_path / 'taken')
  with pytest.raises(Exception, match='Not a directory'):
    writer.write_scalars(1, {'loss': 0.5})
    getattr(writer, last)()


def test_whoever_writes_nothing_opens_nothing(tmp_path):
  program = """
import pathlib, sys
from fsnet_jax.runtime.writers import create_writer
writer = create_writer(pathlib.Path(sys.argv[1]))
writer.flush()
writer.close()
sys.exit('tensorflow' in sys.modules)
"""
  arguments = [sys.executable, '-c', program, str(tmp_path)]
  subprocess.run(arguments, check=True)
  assert not list(tmp_path.iterdir())


def test_a_folder_that_was_deleted_does_not_come_back(tmp_path):
  folder = tmp_path / 'run'
  folder.mkdir()
  writer = create_writer(folder)
  folder.rmdir()
  writer.write_scalars(1, {'loss': 0.5})
  writer.close()
  assert not folder.exists()
