"""The steps that are timed against each other train, on both sides."""

import concurrent.futures
import json
import multiprocessing
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


def steps_of(name):
  """Losses of a contender's first steps, and how many devices took them."""
  import jax

  settings = SETTINGS | {'network': 'fcn8', 'dtype': 'float32', 'threads': 2}
  run = steppers.jax_stepper(name, settings, 1).run
  return [run() for _ in range(3)], jax.device_count()


def test_devices_that_share_a_batch_take_the_same_steps():
  # Devices are counted once in a process.
  context = multiprocessing.get_context('spawn')
  with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
    shared, devices = pool.submit(steps_of, 'jax-devices').result()
  alone, _ = steps_of('jax')
  assert devices == 2
  np.testing.assert_allclose(shared, alone, rtol=1e-4)


def printed(**more):
  """What the command prints, a list of words a line."""
  fields = SETTINGS | {'network': 'fcn8', 'dtype': 'bfloat16', 'phases': 1}
  fields |= {'image_size': '32,64', 'blocks': '1,1,1,1'} | more
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
  return [line for line in result.stdout.splitlines() if line]


@pytest.mark.skipif(sys.platform != 'linux', reason='/proc is of Linux')
def test_the_command_tells_what_memory_each_process_takes(tmp_path):
  file = tmp_path / 'found.json'
  lines = printed(measure='memory', contenders='jax,torch', json=file)[-3:]
  (table,) = json.loads(file.read_text())['tables']
  titles = ('jax, compiled', 'jax, from the cache', 'torch')
  rows = {}
  for line, title in zip(lines, titles):
    assert line.startswith(f'{title} ')
    rows[title] = line.removeprefix(title).split()
  for words in rows.values():
    imports, ready, steps, peak = map(float, words[:4])
    assert 0 < imports <= ready and peak == max(ready, steps)
  for title, found in zip(titles[:2], table['rows']):
    assert found['contender'] == title
    assert found['arguments'] > 0 and found['work'] > 0
    # Printed to a hundredth.
    ratio = float(rows[title][3]) / float(rows['torch'][3])
    assert float(rows[title][5]) == pytest.approx(ratio, rel=0.05)
  assert rows['torch'][4:] == ['1.00', '1.00', '-', '-']
  # A compiler leaves its mark.
  assert float(rows[titles[0]][1]) > float(rows[titles[1]][1])


def test_the_command_compares_compiling_with_plain_convolutions():
  ours, plain = printed(measure='compiling')[-2:]
  name, tracing, compiling, ratio = ours.split()
  assert name == 'jax' and float(tracing) > 0
  assert plain.split()[0] == 'jax-plain' and plain.split()[3] == '1.00'
  expected = float(compiling) / float(plain.split()[2])
  assert float(ratio) == pytest.approx(expected, rel=0.1)


def test_the_command_times_both_sides():
  output = printed(rounds=1, steps=1, contenders='jax,torch')
  lines = [line.split() for line in output]
  rows = {words[0]: words for words in lines}
  for name in ('jax', 'torch'):
    median, fastest, ratio, of_fastest, images, share, gib, _ = rows[name][1:]
    assert float(median) >= float(fastest) > 0
    assert float(ratio) > 0 and float(of_fastest) > 0 and float(gib) > 0
    # The median is printed to a tenth of a millisecond.
    assert float(images) == pytest.approx(2e3 / float(median), rel=0.02)
    assert 0 < float(share.rstrip('%')) < 100
  assert any('Tflop/s, bfloat16' in line for line in output)
