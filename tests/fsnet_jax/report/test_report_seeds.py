"""Mean and spread over seeds, held to hand-computed numbers."""

import json
import re

import pytest

from common_lib.errors import UserError
from fsnet_jax.report import seeds
from tests.fsnet_jax.report import report_data


def write_run(folder, seed, fsnet, msp, **fields):
  metrics = report_data.make_metrics(
    {
      'streets/day': report_data.make_dataset(
        {
          'fsnet': report_data.make_detector(auroc=fsnet),
          'msp': report_data.make_detector(auroc=msp, ap_error=None),
        }
      )
    }
  )
  metrics['config'] |= {'seed': seed, **fields}
  path = folder / f'run{seed}' / 'report/metrics.json'
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(metrics))
  return folder / f'run{seed}'


def test_mean_and_sample_deviation_and_paired_lead(tmp_path, capsys):
  runs = [
    write_run(tmp_path, 1, 0.92, 0.90),
    write_run(tmp_path, 0, 0.88, 0.89),
    write_run(tmp_path, 2, 0.90, 0.88),
  ]
  assert seeds.main([str(run) for run in runs]) == 0
  table = capsys.readouterr().out
  fsnet = next(line for line in table.splitlines() if '| FSNet' in line)
  msp = next(line for line in table.splitlines() if '| MSP' in line)
  # 88, 90, 92: mean 90, deviation 2; gaps -1, 2, 2: mean 1, deviation 1.73.
  assert '| 90.00 ± 2.00 |' in fsnet
  assert fsnet.endswith('| 1.00 ± 1.73 (2 of 3) |')
  # An undefined value has a dash, and no number.
  assert msp.startswith('| MSP | — |')
  assert '3 seeds, error rate 10.00 ± 0.00' in table


def test_one_run_has_no_spread(tmp_path, capsys):
  run = write_run(tmp_path, 0, 0.9, 0.8)
  assert seeds.main([str(run / 'report/metrics.json')]) == 0
  assert '±' not in capsys.readouterr().out


@pytest.mark.parametrize(
  ('second', 'words'),
  [
    ({'seed': 0}, 'give each seed once'),
    ({'seed': 1, 'width': 0.5}, 'differ in config.width'),
    ({'seed': 1, 'data': {'name': 'camvid'}}, 'differ in config.data.name'),
  ],
)
def test_runs_that_do_not_belong_together(tmp_path, second, words):
  first = write_run(tmp_path / 'a', 0, 0.9, 0.8)
  seed = second.pop('seed')
  other = write_run(tmp_path / 'b', seed, 0.9, 0.8, **second)
  with pytest.raises(UserError, match=words):
    seeds.load_runs([first, other])


def test_where_things_lie_may_differ(tmp_path):
  runs = [
    write_run(tmp_path, seed, 0.9, 0.8, data={'root': str(seed)}, **more)
    for seed, more in ((0, {}), (1, {'log_every_steps': 3}))
  ]
  assert len(seeds.load_runs(runs)) == 2


def test_a_missing_file_is_named(tmp_path, capsys):
  assert seeds.main([str(tmp_path / 'none')]) == 2
  words = 'none/report/metrics.json.*cannot be read.*No such file'
  assert re.search(words, capsys.readouterr().err)


def _damaged(path, value):
  """The text of a run's metrics with a value at a path of keys."""
  dataset = report_data.make_dataset({'msp': report_data.make_detector()})
  metrics = report_data.make_metrics({'streets/day': dataset})
  *parents, last = path
  node = metrics
  for key in parents:
    node = node[key]
  node[last] = value
  return json.dumps(metrics)


DAY = ('datasets', 'streets/day')
POOLED = (*DAY, 'failure', 'msp', 'pooled')


@pytest.mark.parametrize(
  ('text', 'words'),
  [
    ('', 'cannot be read'),
    ('[1, 2]', 'holds no JSON object'),
    ('{"schema": 1}', "missing key 'config'"),
    ('{"config": ' + '[' * 100_000, 'nested too deep'),
    ('{"schema": ' + '9' * 5000 + '}', 'cannot be read'),
    ('\xff\xfe'.encode('latin-1'), 'cannot be read'),
    (_damaged(('schema',), 7), 'schema is 7'),
    (_damaged(('schema',), '1'), "schema is '1'"),
    (_damaged(('config',), [1]), 'config is not a mapping'),
    (_damaged(('config', 'seed'), [3]), 'config.seed is no whole number'),
    (_damaged(('config', 'seed'), True), '0 to 9007199254740992 but True'),
    (_damaged(('config', 'seed'), None), 'but None'),
    (_damaged(('config', 'seed'), 1 << 70), 'a number too large'),
    (_damaged(('config', 'x'), json.loads('[' * 90 + ']' * 90)), '32 deep'),
    (_damaged(('datasets',), []), 'datasets is not a mapping'),
    (_damaged(('datasets',), {'\x1b[2Jday': {}}), 'datasets'),
    (_damaged(DAY, 'day'), 'streets/day is not a mapping'),
    (_damaged((*DAY, 'images'), 10**400), 'a number too large'),
    (_damaged((*DAY, 'segmentation'), None), 'segmentation is not a mapping'),
    (_damaged((*DAY, 'segmentation', 'miou'), 41), 'not a fraction'),
    (_damaged((*DAY, 'failure'), {}), 'failure is not a mapping'),
    (_damaged((*DAY, 'failure', '\x1b]0;x'), {}), 'missing key'),
    (_damaged((*POOLED, 'auroc'), '0.9'), 'not a number'),
    (_damaged((*POOLED, 'auroc'), 10**400), 'a number too large'),
    (_damaged((*POOLED, 'auroc'), float('nan')), 'auroc is nan'),
    (_damaged((*POOLED, 'aurc'), {'mean': 1}), 'not a number'),
  ],
)
def test_a_damaged_file_is_named_in_one_sentence(tmp_path, capsys, text, words):
  broken = tmp_path / 'metrics.json'
  broken.write_bytes(text if isinstance(text, bytes) else text.encode())
  assert seeds.main([str(broken)]) == 2
  said = capsys.readouterr().err
  assert said.startswith(f"error: {broken}, a run's metrics, cannot be ")
  assert words in said and said.count('\n') == 1
  assert len(said) < 600 and '\x1b' not in said


def test_keys_of_a_later_version_do_not_matter(tmp_path, capsys):
  run = write_run(tmp_path, 0, 0.9, 0.8)
  path = run / 'report/metrics.json'
  metrics = json.loads(path.read_text())
  day = metrics['datasets']['streets/day']
  for node in (
    metrics, day, day['segmentation'], day['failure']['msp'],
    day['failure']['msp']['pooled'],
  ):  # fmt: skip
    node['later'] = {'any': ['thing']}
  path.write_text(json.dumps(metrics))
  assert seeds.main([str(run)]) == 0
  assert '| MSP |' in capsys.readouterr().out


def test_runs_of_other_detectors_are_named(tmp_path):
  runs = [write_run(tmp_path, seed, 0.9, 0.8) for seed in (0, 1)]
  path = runs[1] / 'report/metrics.json'
  metrics = json.loads(path.read_text())
  del metrics['datasets']['streets/day']['failure']['fsnet']
  path.write_text(json.dumps(metrics))
  with pytest.raises(UserError, match='not evaluated with the same detectors'):
    seeds.load_runs(runs)


def test_unknown_reference(tmp_path, capsys):
  run = write_run(tmp_path, 0, 0.9, 0.8)
  assert seeds.main([str(run), '--reference=tcp']) == 2
  assert 'choose one of fsnet, msp' in capsys.readouterr().err
