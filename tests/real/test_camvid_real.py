"""The real CamVid: 367 training and 101 validation frames."""

import collections

import numpy as np
import pytest

from common_lib import class_table
from configs import fsnet_deeplabv2, fsnet_efficientnet, fsnet_fcn8, segxal_unet
from input_pipeline import loader
from input_pipeline.datasets import DataRequest, open_source, skipped_files


@pytest.fixture(scope='session')
def request_camvid(camvid_root, tmp_path_factory):
  return DataRequest(
    # A third: each label pixel is the centre of 3x3, so shares are kept.
    image_size=(120, 160),
    root=camvid_root,
    cache_dir=str(tmp_path_factory.mktemp('camvid')),
  )


def sequences(spec, request):
  source = open_source(spec, request)
  return collections.Counter(source[i]['sequence'] for i in range(len(source)))


def test_frames_of_each_sequence(request_camvid):
  assert sequences('camvid:train', request_camvid) == {
    '0016E5': 204,
    '0006R0': 101,
    '0001TP': 62,
  }
  assert sequences('camvid:val', request_camvid) == {'0016E5': 101}
  for name, count in {'0016E5:train': 204, '0006R0': 101, '0001TP': 62}.items():
    assert len(open_source(f'camvid/{name}', request_camvid)) == count


@pytest.mark.parametrize(
  'shipped', [fsnet_fcn8, fsnet_deeplabv2, fsnet_efficientnet, segxal_unet]
)
def test_shipped_splits_exist_and_do_not_meet(request_camvid, shipped):
  config = shipped.get_config('camvid')
  trained = set(sequences(f'camvid/{config.data.train_split}', request_camvid))
  assert sequences(f'camvid{config.data.validation_split}', request_camvid)
  for spec in config.eval.datasets:
    assert trained.isdisjoint(sequences(spec, request_camvid))


def test_class_shares(request_camvid):
  source = open_source('camvid:train', request_camvid)
  counts = np.zeros(256, np.int64)
  for i in range(len(source)):
    counts += np.bincount(source[i]['label'].ravel(), minlength=256)
  # Per cent of all pixels, counted on the files at full size with PIL alone.
  expected = {
    'sky': 16.85,
    'building': 23.26,
    'pole': 0.98,
    'road': 31.66,
    'sidewalk': 4.49,
    'vegetation': 9.72,
    'traffic sign': 1.17,
    'fence': 1.13,
    'car': 5.87,
    'person': 0.64,
    'bicycle': 0.29,
  }
  shares = 100 * counts / counts.sum()
  for train_id, name in enumerate(class_table.CITYSCAPES.names):
    assert shares[train_id] == pytest.approx(expected.get(name, 0), abs=0.02)
  assert shares[class_table.VOID] == pytest.approx(3.95, abs=0.02)
  assert not skipped_files(source)


def test_images_belong_to_their_labels(request_camvid):
  source = open_source('camvid/0016E5:train', request_camvid)
  colors = collections.defaultdict(list)
  for i in range(0, len(source), 20):
    scene = source[i]
    for name in ('sky', 'road', 'vegetation'):
      pixels = scene['image'][
        scene['label'] == class_table.CITYSCAPES.names.index(name)
      ]
      if len(pixels):
        colors[name].append(pixels.mean(0))
  sky, road, trees = (
    np.mean(colors[name], 0) for name in ('sky', 'road', 'vegetation')
  )
  assert sky.mean() > 1.5 * road.mean() > 1.5 * 0.5 * trees.mean()
  assert sky[2] >= sky[0] - 10  # RGB: the sky is not orange


def test_one_epoch_of_batches(request_camvid):
  source = open_source('camvid:val', request_camvid)
  iterator = loader.train_loader(source, batch_size=10, seed=0)
  for _ in range(10):
    batch = next(iterator)
    assert batch['image'].shape == (10, 120, 160, 3)
  batches = loader.eval_loader(source, batch_size=10)
  assert sum(int(batch['mask'].sum()) for batch in batches) == 101
