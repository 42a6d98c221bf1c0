"""Mean and spread over seeds, held to hand-computed numbers."""

import json

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


def test_missing_and_damaged_files_are_named(tmp_path, capsys):
  assert seeds.main([str(tmp_path / 'none')]) == 2
  assert 'none/report/metrics.json cannot be read' in capsys.readouterr().err
  broken = tmp_path / 'metrics.json'
  broken.write_text('{"schema": 1}')
  assert seeds.main([str(broken)]) == 2
  assert 'is no metrics.json' in capsys.readouterr().err


def test_unknown_reference(tmp_path, capsys):
  run = write_run(tmp_path, 0, 0.9, 0.8)
  assert seeds.main([str(run), '--reference=tcp']) == 2
  assert 'choose one of fsnet, msp' in capsys.readouterr().err
