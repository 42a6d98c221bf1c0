"""What an evaluation pass collects image by image."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from fsnet_jax.evaluation.image_tables import ImageTables
from fsnet_jax.experiments.comparison import per_image_observer
from fsnet_jax.runtime import mesh as mesh_lib
from tests.fsnet_jax.experiments.comparison_stand_ins import IMAGES, batches


def test_the_example_reaches_the_process_that_draws_it(monkeypatch):
  seen, unseen = (
    per_image_observer.DatasetObserver(IMAGES, 0) for _ in range(2)
  )
  for place, (batch, maps) in enumerate(batches(0, ('fsnet', 'msp'))):
    # Image 5 is in the second batch, which the other process has.
    one = seen if place else unseen
    one(batch, {name: jax.tree.map(jnp.asarray, x) for name, x in maps.items()})
  assert unseen.example is None and seen.example is not None
  sent = []
  monkeypatch.setattr(per_image_observer.jax, 'process_count', lambda: 2)

  def gather(own):
    sent.append(own)
    return jax.tree.map(lambda *parts: np.stack(parts), *sent[::-1])

  multihost = per_image_observer.multihost_utils
  monkeypatch.setattr(multihost, 'process_allgather', gather)
  seen.share_example()
  unseen.share_example()
  want, found = (dataclasses.asdict(x.example) for x in (seen, unseen))
  assert found['id'] == 'image 5'
  jax.tree.map(np.testing.assert_array_equal, want, found)


def letterboxed(array, outside):
  """Each image between two bars of three columns, which anything may fill."""
  bars = [(0, 0)] * array.ndim
  bars[2] = (3, 3)
  return np.pad(array, bars, constant_values=outside)


def test_bars_of_a_letterbox_count_nowhere():
  plain, boxed = (
    per_image_observer.DatasetObserver(IMAGES, 4) for _ in range(2)
  )
  plain_images, boxed_images = (
    ImageTables(IMAGES, 2, mesh_lib.make_mesh()) for _ in range(2)
  )
  for batch, maps in batches(0, ('fsnet', 'msp')):
    on_device = jax.tree.map(jnp.asarray, maps)
    plain(batch, on_device)
    plain_images.add(batch, on_device)
    size = batch['label'].shape[1:]
    content = np.array([0, 3, size[0], size[1] + 3], np.int32)
    wide = {
      **batch,
      'image': letterboxed(batch['image'], 7),
      'label': letterboxed(batch['label'], 255),
      'content': np.tile(content, (4, 1)),
    }
    wide_maps = {
      'prediction': jnp.asarray(letterboxed(maps['prediction'], 2)),
      'valid': jnp.asarray(letterboxed(maps['valid'], False)),
      'score': {
        name: jnp.asarray(letterboxed(score, 99))
        for name, score in maps['score'].items()
      },
    }
    boxed(wide, wide_maps)
    boxed_images.add(wide, wide_maps)
  found = boxed_images.tables()
  for name, table in plain_images.tables().items():
    np.testing.assert_array_equal(found[name].counts, table.counts)
  assert boxed.segments() == plain.segments()
  plain.share_example()
  boxed.share_example()
  want, found = (dataclasses.asdict(x.example) for x in (plain, boxed))
  jax.tree.map(np.testing.assert_array_equal, want, found)
