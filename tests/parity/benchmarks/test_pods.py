"""What travels between devices is the gradients and batch norms' sums."""

import json
import sys

import pytest

from benchmarks.pods import __main__ as pods
from benchmarks.pods import collectives, efficiency
from tests.e2e import tiny

_HLO = """
  %all-reduce.1 = f32[8]{0} all-reduce(%x), channel_id=1, to_apply=%add
  %all-reduce-start = (f32[3,4]{1,0}, f32[]) all-reduce-start(%x, %y), to=%add
  %all-reduce-done = f32[3,4]{1,0} all-reduce-done(%all-reduce-start)
  %get = f32[3,4]{1,0} get-tuple-element(%all-reduce.1), index=0
  ROOT %all-gather.7 = (bf16[2,2]{1,0}, /*index=1*/s32[5]{0}) all-gather(%z)
  %fusion = f32[9]{0} fusion(%all-gather.7), kind=kLoop
"""


def test_collectives_are_read_from_hlo():
  found = collectives.find(_HLO)
  assert [(c.kind, c.elements, c.scalars, c.bytes) for c in found] == [
    ('all-reduce', 8, 0, 32),
    ('all-reduce', 12, 1, 52),
    ('all-gather', 9, 0, 28),
  ]


@pytest.mark.slow
@pytest.mark.parametrize(
  ('network', 'devices'), [('fcn8', 8), ('deeplab_v2', 16)]
)
def test_a_step_sums_gradients_and_statistics_alone(network, devices):
  command = [sys.executable, '-m', 'benchmarks.pods.step', '--width=0.05']
  command += ['--head_width=16', '--blocks=1,1,1,1', '--image_size=32,64']
  command += [f'--network={network}', f'--devices={devices}', '--images=2']
  done = tiny.run(command, devices)
  assert done.returncode == 0, done.stderr
  found = json.loads(done.stdout)
  assert pods.problems(found) == []
  sums = found['collectives']['all-reduce']
  # Losses, rates and counts of the step itself, whatever the network.
  assert found['statistics'] > 0 and 0 < sums['scalars'] <= 10
  elements = found['parameters'] + 3 * found['statistics'] // 2
  assert sums['bytes'] == 4 * (elements + sums['scalars'])
  assert network.split('_')[0] in pods.counted_table([found]).lower()


def test_what_should_not_travel_is_named():
  sums = {'count': 2, 'elements': 16, 'scalars': 1, 'bytes': 68}
  found = {
    'network': 'fcn8',
    'devices': 8,
    'parameters': 10,
    'statistics': 4,
    'collectives': {'all-reduce': sums},
  }
  assert pods.problems(found) == []
  worse = found | {'parameters': 9}
  worse['collectives'] = {'all-reduce': sums, 'all-gather': sums}
  assert pods.problems(worse) == [
    'fcn8 on 8 devices has all-gather',
    'fcn8 on 8 devices sums 16 numbers instead of 15',
  ]


def test_efficiency_against_numbers_worked_out_by_hand():
  torus = efficiency.Machine('torus', peak=1e12, link=2e9)
  # 0.4e12 operations at 0.4 of 1e12 take a second; 8 MB over 1 GB/s, twice
  # 7/8 of them; 2x4 chips are 2 * (1 + 3) hops.
  step = efficiency.step(torus, 8, 0.4e12, 100, 8e6)
  assert step.arithmetic == pytest.approx(1)
  assert step.gradients == pytest.approx(0.014)
  assert step.waiting == pytest.approx(100 * 8e-6)
  assert step.without_overlap == pytest.approx(1 / 1.0148)
  assert step.with_overlap == pytest.approx(1 / 1.0008)
  assert efficiency.latency(torus, 256) == pytest.approx(60e-6)
  # What the backward pass cannot hide: 2.8 s less two thirds of a second.
  late = efficiency.step(torus, 8, 0.4e12, 0, 1.6e9)
  assert late.seconds == pytest.approx(1 + 2.8 - 2 / 3)
  hosts = efficiency.Machine('hosts', peak=1e12, link=2e9, network=2e8)
  step = efficiency.step(hosts, 64, 0.4e12, 1, 8e6)
  # In a host as above, then an eighth of it over 8 hosts at 0.1 GB/s.
  assert step.gradients == pytest.approx(0.014 + 2 * 7 / 8 * 1e6 / 1e8)
  assert step.waiting == pytest.approx(45e-6)


def test_odd_numbers_of_devices_are_refused(monkeypatch, capsys):
  monkeypatch.setattr(sys, 'argv', ['pods', '--devices=8,12'])
  assert pods.main() == 2
  assert '--devices has 12; give powers of two' in capsys.readouterr().err
