"""Who writes TensorBoard's events, and what a reader finds in them."""

import io

import jax
import numpy as np
import pytest
from PIL import Image
from tensorboard.compat.proto import event_pb2
from tensorboard.compat.tensorflow_stub import errors, pywrap_tensorflow

from common_lib.errors import UserError
from fsnet_jax.runtime import writers
from fsnet_jax.runtime.storage import disk_errors
from fsnet_jax.runtime.writers import create_writer


def _events(folder):
  """The events of the one file in a folder, their checksums compared."""
  (path,) = folder.glob('events.out.tfevents.*')
  reader = pywrap_tensorflow.PyRecordReader_New(str(path), 0, b'', None)
  found = []
  while True:
    try:
      reader.GetNext()
    except errors.OutOfRangeError:
      reader.file_handle.close()
      return found
    found.append(event_pb2.Event.FromString(reader.record()))


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


def test_what_is_written_is_read(tmp_path):
  pictures = np.random.default_rng(0).integers(
    0, 256, (2, 3, 5, 3), dtype=np.uint8
  )
  writer = create_writer(tmp_path)
  writer.write_scalars(
    7, {'a/loss': np.float32(0.3), 'rate': 2, 'lost': float('nan')}
  )
  writer.write_images(8, {'map': pictures})
  # Before the file is closed: TensorBoard shows a run that goes on.
  version, loss, rate, lost, shown = _events(tmp_path)
  writer.close()
  assert version.file_version == 'brain.Event:2'
  for event, name, value in ((loss, 'a/loss', 0.3), (rate, 'rate', 2.0)):
    (entry,) = event.summary.value
    assert event.step == 7 and entry.tag == name
    assert entry.metadata.plugin_data.plugin_name == 'scalars'
    assert entry.tensor.float_val[0] == np.float32(value)
  assert np.isnan(lost.summary.value[0].tensor.float_val[0])
  (entry,) = shown.summary.value
  assert shown.step == 8 and entry.tag == 'map'
  assert entry.metadata.plugin_data.plugin_name == 'images'
  width, height, *files = entry.tensor.string_val
  assert (width, height) == (b'5', b'3')
  decoded = [np.asarray(Image.open(io.BytesIO(file))) for file in files]
  np.testing.assert_array_equal(decoded, pictures)


def test_two_writers_of_one_folder_have_a_file_each(tmp_path):
  for _ in range(2):
    create_writer(tmp_path).close()
  assert len(list(tmp_path.iterdir())) == 2


def test_a_full_disk_is_an_error_at_once(tmp_path, monkeypatch):
  with (
    open('/dev/full', 'wb', buffering=0) as full,
    monkeypatch.context() as patched,
    pytest.raises(UserError, match=f'disk of {tmp_path} is full'),
    disk_errors.explained(tmp_path),
  ):
    patched.setattr(writers, '_new_file', lambda _: full)
    create_writer(tmp_path)
