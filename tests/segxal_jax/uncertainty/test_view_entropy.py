"""ViewAL: what drawn views of one street say together."""

import numpy as np
import pytest
from scipy import stats

from common_lib.errors import UserError
from input_pipeline.datasets import open_source
from input_pipeline.datasets.base import DataRequest
from segxal_jax import acquisition
from segxal_jax.acquisition import Candidates, view_requirements
from segxal_jax.uncertainty import view_entropy

SIZE = (32, 64)
CLASSES = 4


@pytest.fixture(scope='module')
def views(tmp_path_factory):
  request = DataRequest(
    image_size=SIZE,
    cache_dir=str(tmp_path_factory.mktemp('data')),
    num_examples={'train': 5},
    depth=True,
  )
  source = open_source('street_views:train', request)
  assert len(source) == 5
  sequences = [source[i]['sequence'] for i in range(5)]
  assert len(set(sequences[:4])) == 1 and sequences[4] != sequences[0]
  return [source[i] for i in range(3)]


def _stacked(views, name):
  return np.stack([view[name] for view in views])


def _homogeneous(camera):
  """World from camera, [4 4]."""
  matrix = np.eye(4)
  matrix[:3, :3] = camera[:9].reshape(3, 3).T
  matrix[:3, 3] = camera[9:12]
  return matrix


def _world(views, i, row, column):
  camera = views[i]['camera'].astype(np.float64)
  z = float(views[i]['depth'][row, column])
  x = (column - (SIZE[1] - 1) / 2) * z / camera[12]
  y = (row - (SIZE[0] - 1) / 2) * z / camera[12]
  return (_homogeneous(camera) @ [x, y, z, 1])[:3]


def _seen(views, j, point):
  """Pixel of view j that shows a world point, or None."""
  camera = views[j]['camera'].astype(np.float64)
  x, y, z, _ = np.linalg.inv(_homogeneous(camera)) @ [*point, 1]
  if z <= 0:
    return None
  column = round(x * camera[12] / z + (SIZE[1] - 1) / 2)
  row = round(y * camera[12] / z + (SIZE[0] - 1) / 2)
  if not (0 <= row < SIZE[0] and 0 <= column < SIZE[1]):
    return None
  near = np.linalg.norm(_world(views, j, row, column) - point) < 1.0
  return (row, column) if near else None


def test_scores_against_a_loop_over_pixels(views):
  rng = np.random.default_rng(0)
  probs = rng.dirichlet(np.ones(CLASSES), (3, *SIZE)).astype(np.float32)
  found = view_entropy.view_scores(
    probs, _stacked(views, 'depth'), _stacked(views, 'camera')
  )
  counts = []
  for _ in range(150):
    i, row, column = (int(rng.integers(n)) for n in (3, *SIZE))
    own, others = probs[i, row, column].astype(np.float64), []
    point = _world(views, i, row, column)
    for j in range(3):
      index = _seen(views, j, point) if j != i else None
      if index is not None:
        others.append(probs[j][index].astype(np.float64))
    counts.append(len(others))
    mean = np.mean([own, *others], axis=0)
    np.testing.assert_allclose(
      found.entropy[i, row, column],
      stats.entropy(mean) / np.log(CLASSES),
      atol=1e-6,
    )
    divergences = [stats.entropy(own, other, base=2) for other in others]
    np.testing.assert_allclose(
      found.divergence[i, row, column],
      np.mean(divergences) if others else 0.0,
      atol=1e-4,
    )
  assert min(counts) == 0 and max(counts) == 2


def test_views_agree_on_the_truth_where_poses_are_right(views):
  label = np.minimum(_stacked(views, 'label'), 19)
  truth = np.eye(20)[label]
  depth, cameras = _stacked(views, 'depth'), _stacked(views, 'camera')
  right = view_entropy.view_scores(truth, depth, cameras)
  sure = right.entropy * np.log(20) / np.log(2)
  # Borders are all that is left: the nearest pixel may lie on the other side.
  assert 0 < (sure > 0.1).mean() < 0.15
  tilted = cameras.copy()
  tilted[1:, 9] += 3.0
  wrong = view_entropy.view_scores(truth, depth, tilted, tolerance=50.0)
  assert wrong.entropy.mean() > 2 * right.entropy.mean()


def test_a_single_view_has_its_own_entropy_and_nothing_to_diverge_from(views):
  probs = np.random.default_rng(1).dirichlet(np.ones(3), (1, *SIZE))
  found = view_entropy.view_scores(
    probs, _stacked(views[:1], 'depth'), _stacked(views[:1], 'camera')
  )
  expected = stats.entropy(probs[0], axis=-1) / np.log(3)
  np.testing.assert_allclose(found.entropy[0], expected, rtol=1e-6)
  assert not found.divergence.any()


def test_the_most_divergent_view_of_each_scene_comes_first():
  candidates = Candidates(
    np.array([10, 11, 12, 13, 14]),
    {
      'view_entropy': np.array([0.9, 0.8, 0.1, 0.2, 0.5]),
      'view_divergence': np.array([0.1, 0.7, 0.2, 0.3, 0.0]),
    },
    group=np.array([4, 4, 7, 7, 9]),
  )
  batch = acquisition.create('viewal').select(
    candidates, 4, np.random.default_rng(0)
  )
  # Winners 11, 13 and 14 by entropy, then the rest.
  assert list(batch.index) == [11, 14, 13, 10]


def test_single_images_are_refused():
  scene = {'image': 0, 'label': 0, 'depth': 0}
  with pytest.raises(UserError, match='street_views.*config.depth.provider'):
    view_requirements.check('viewal', [scene])
  view_requirements.check('viewal', [scene | {'camera': 0}])
  view_requirements.check('entropy', [scene])
