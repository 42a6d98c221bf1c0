"""Small metrics and examples with every value known."""

import numpy as np

from common_lib import class_table
from fsnet_jax.report import schema
from fsnet_jax.report.figures import examples
from fsnet_jax.report.measures import DIFFERENCES_SHOWN


def make_detector(auroc=0.9, fpr95=0.3, error_rate=0.1, **measures):
  """One detector's entry; keywords replace single measures."""
  pooled = {
    'ap_error': 0.5,
    'ap_success': 0.95,
    'auroc': auroc,
    'fpr95_error': fpr95,
    'fpr95_success': 0.4,
    'aurc': 0.02,
    'e_aurc': 0.01,
    'augrc': 0.015,
    'coverage_at_5_risk': 0.6,
    'ece': None,
    **measures,
  }
  return {
    'pooled': pooled,
    'class_macro': dict.fromkeys(schema.MEASURE_KEYS),
    'risk_at_coverage': {
      f'{tenth / 10:.1f}': error_rate * (tenth / 10) ** 2
      for tenth in range(1, 11)
    },
  }


def make_differences(detectors, half_width):
  """Adds differences to detectors' entries, all intervals of one width."""
  for name, detector in detectors.items():
    for reference in ('msp', 'fsnet'):
      found = None
      if reference in detectors and reference != name:
        pairs = {
          key: (detector['pooled'][key], detectors[reference]['pooled'][key])
          for key in DIFFERENCES_SHOWN
        }
        found = {
          key: None if None in pair else interval(pair[0] - pair[1], half_width)
          for key, pair in pairs.items()
        }
      detector[f'difference_to_{reference}'] = found


def make_best_baseline(detectors, half_width=0.001, **baselines):
  """Adds FSNet's differences to the best baseline of each measure."""
  fsnet = detectors['fsnet']
  fsnet['difference_to_best_baseline'] = {
    key: {
      'baseline': name,
      **interval(
        fsnet['pooled'][key] - detectors[name]['pooled'][key], half_width
      ),
    }
    for key, name in baselines.items()
  }


def make_details(detector, gain=0.0):
  """Adds regions and predicted classes; `gain` to each AUROC."""
  detector['pooled'] |= {'pixels': 1000, 'errors': 100}

  def entry(pixels, errors, auroc):
    return {
      'ap_error': 0.4,
      'auroc': None if auroc is None else auroc + gain,
      'fpr95_error': None if auroc is None else 0.5 - gain,
      'base_error_rate': errors / pixels if pixels else None,
      'pixels': pixels,
      'errors': errors,
    }

  detector['by_region'] = {
    'boundary': entry(300, 80, 0.7),
    'interior': entry(700, 20, 0.8),
    'small_objects': entry(0, 0, None),
  }
  detector['per_predicted_class'] = {
    'road': entry(900, 90, 0.75),
    'car': entry(100, 10, 0.6),
    'train': entry(0, 0, None),
  }


def interval(difference, half_width):
  """A difference and its interval over 48 images."""
  return {
    'difference': difference,
    'low': difference - half_width,
    'high': difference + half_width,
    'unit': 'image',
    'units': 48,
    'resamples': 500,
  }


def make_dataset(detectors, error_rate=0.1, half_width=0.001):
  """One data set's entry for detectors by name."""
  make_differences(detectors, half_width)
  return {
    'images': 48,
    'pixels': 12345,
    'segmentation': {
      'miou': 0.41,
      'miou_image_mean': 0.21,
      'cls_acc': 0.52,
      'cls_acc_image_mean': 0.26,
      'pixel_acc': 1 - error_rate,
      'base_error_rate': error_rate,
      'iou': {'road': 0.8, 'train': None},
    },
    'failure': detectors,
  }


def make_metrics(datasets):
  """A whole metrics dictionary."""
  return {
    'schema': 1,
    'config': {'task': 'fsnet', 'seed': 0, 'data': {'name': 'streets'}},
    'environment': {'jax': '0.10', 'device': 'cpu', 'date': '2025-01-02'},
    'datasets': datasets,
  }


def make_example(seed=0, size=(64, 128), detectors=('fsnet', 'msp')):
  """Blocks of classes with some wrong pixels and a void border."""
  rng = np.random.default_rng(seed)
  height, width = size
  coarse = rng.integers(0, 19, (-(-height // 8), -(-width // 8)))
  label = np.kron(coarse, np.ones((8, 8)))[:height, :width].astype(np.uint8)
  prediction = np.where(rng.random(size) < 0.2, (label + 1) % 19, label).astype(
    np.uint8
  )
  label[0] = class_table.VOID
  return examples.Example(
    id=f'frame_{seed}',
    image=rng.integers(0, 256, (*size, 3)).astype(np.uint8),
    label=label,
    prediction=prediction,
    valid=label != class_table.VOID,
    failure={
      name: rng.normal(size=size).astype(np.float32) for name in detectors
    },
  )
