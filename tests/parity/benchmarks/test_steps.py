"""The steps that are timed against each other train, on both sides."""

import subprocess
import sys

import numpy as np
import pytest

from benchmarks.subjects import steppers
from tests.paths import ROOT

SETTINGS = {
  'image_size': (32, 64),
  'batch_size': 2,
  'width': 0.05,
  'head_width': 16,
  'padding': 'same',
  'blocks': (1, 1, 1, 1),
  'decoder': 'four_scale',
}


def losses(build, name, phase, **settings):
  stepper = build(name, SETTINGS | settings, phase)
  found = [stepper.run() for _ in range(3)]
  assert np.isfinite(found).all()
  return found


@pytest.mark.parametrize(
  'network', ['fcn8', 'deeplab_v2', 'unet', 'efficientnet_unet']
)
@pytest.mark.parametrize('phase', [1, 2])
def test_pytorch_trains_alike_in_every_form(network, phase):
  forms = {
    (name, dtype): losses(
      steppers.torch_stepper, name, phase, network=network, dtype=dtype
    )
    for name, dtype in (
      ('torch', 'float32'),
      ('torch-channels_last', 'float32'),
      ('torch', 'bfloat16'),
    )
  }
  for found in forms.values():
    np.testing.assert_allclose(found, forms['torch', 'float32'], rtol=0.05)


@pytest.mark.parametrize('phase', [1, 2])
def test_both_sides_take_the_norm_of_the_gradient_or_neither(phase):
  from benchmarks.peers import torch_reference

  settings = SETTINGS | {'network': 'fcn8', 'dtype': 'float32'}
  trainer = torch_reference.Trainer(settings, channels_last=False)
  batch = trainer.on_device(*steppers.batch_of(settings))
  trainer.step(phase, *batch, norm=False)
  assert trainer.gradient_norm is None
  trainer.step(phase, *batch)
  networks = [trainer.segmentation, trainer.failure][:phase]
  gradients = [
    p.grad.numpy().ravel() for one in networks for p in one.parameters()
  ]
  expected = np.linalg.norm(np.concatenate(gradients).astype(np.float64))
  np.testing.assert_allclose(trainer.gradient_norm, expected, rtol=1e-5)
  for norm, keys in ((True, {'loss', 'gradient_norm'}), (False, {'loss'})):
    ours = settings | {'gradient_norm': norm}
    lowered, _, _ = steppers.lower('jax', ours, phase)
    assert lowered.out_info[1].keys() == keys


def test_the_command_times_both_sides():
  fields = SETTINGS | {'network': 'fcn8', 'dtype': 'bfloat16'}
  fields |= {'image_size': '32,64', 'blocks': '1,1,1,1'}
  fields |= {'phases': 1, 'rounds': 1, 'steps': 1, 'contenders': 'jax,torch'}
  result = subprocess.run(
    [
      sys.executable,
      *('-m', 'benchmarks.train_step'),
      *(f'--{name}={value}' for name, value in fields.items()),
    ],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=600,
  )
  assert result.returncode == 0, result.stderr
  lines = [line.split() for line in result.stdout.splitlines() if line]
  rows = {words[0]: words for words in lines}
  for name in ('jax', 'torch'):
    median, fastest, ratio, of_fastest, images, share, gib, _ = rows[name][1:]
    assert float(median) >= float(fastest) > 0
    assert float(ratio) > 0 and float(of_fastest) > 0 and float(gib) > 0
    # The median is printed to a tenth of a millisecond.
    assert float(images) == pytest.approx(2e3 / float(median), rel=0.02)
    assert 0 < float(share.rstrip('%')) < 100
  assert 'Tflop/s, bfloat16' in result.stdout
