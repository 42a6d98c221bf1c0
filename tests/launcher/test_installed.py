"""The wheel, installed into an environment of its own, away from this tree."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

from launcher import __version__
from tests.e2e import tiny
from tests.paths import ROOT

_PACKAGES = (
  'common_lib',
  'configs',
  'fsnet_jax',
  'input_pipeline',
  'launcher',
  'segxal_jax',
  'street_scenes',
)


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
  """Built from a copy, for setuptools leaves folders where it builds."""
  source = tmp_path_factory.mktemp('source')
  for name in _PACKAGES:
    ignore = shutil.ignore_patterns('__pycache__')
    shutil.copytree(ROOT / name, source / name, ignore=ignore)
  for name in ('pyproject.toml', 'README.md', 'LICENSE'):
    shutil.copy(ROOT / name, source)
  folder = tmp_path_factory.mktemp('wheel')
  _run(
    sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-index',
    '--no-build-isolation', f'--wheel-dir={folder}', source,
  )  # fmt: skip
  (file,) = folder.glob('*.whl')
  return file


@pytest.fixture(scope='module')
def installed(wheel, tmp_path_factory):
  """Folder of the programs of an environment that holds the wheel.

  What the wheel depends on is that of the environment of the tests, so that
  nothing is downloaded.
  """
  home = tmp_path_factory.mktemp('environment')
  _run(sys.executable, '-m', 'venv', '--without-pip', home)
  python = home / 'bin' / 'python'
  _run(
    sys.executable, '-m', 'pip', f'--python={python}', 'install', '--quiet',
    '--no-deps', '--no-index', wheel,
  )  # fmt: skip
  (own,) = home.glob('lib/python*/site-packages')
  paths = {sysconfig.get_path('purelib'), sysconfig.get_path('platlib')}
  (own / 'dependencies.pth').write_text('\n'.join(sorted(paths)) + '\n')
  return home / 'bin'


def _run(*command, **options):
  result = subprocess.run(
    [str(word) for word in command], capture_output=True, text=True, **options
  )
  assert result.returncode == 0, result.stderr
  return result


def test_it_says_its_version_and_its_fields(installed, tmp_path):
  found = _run(installed / 'fsnet', '--version', cwd=tmp_path)
  assert found.stdout == f'fsnet {__version__}\n'
  found = _run(installed / 'fsnet', '--help', cwd=tmp_path)
  assert found.stdout.startswith('usage: fsnet')
  assert 'optimizer.learning_rate' in found.stdout


def test_a_run_outside_the_repository_with_a_shipped_config(
  installed, shared, tmp_path
):
  environment = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
  # What is in the wheel shows in less than the whole demo.
  _, _, *flags = tiny.command(
    shared,
    tmp_path / 'run',
    phase1_steps=0,
    phase3_steps=0,
    eval__datasets="('streets/day',)",
    eval__detectors="('fsnet','msp')",
  )
  flags = [flag for flag in flags if not flag.startswith('--config=')]
  command = [installed / 'fsnet', '--config=fsnet_fcn8', *flags]
  result = _run(*command, cwd=tmp_path, env=environment)
  assert 'FSNet' in result.stdout
  assert (tmp_path / 'run' / 'report' / 'report.html').is_file()
  assert (tmp_path / 'run' / 'report' / 'metrics.json').is_file()
  assert sorted(p.name for p in tmp_path.iterdir()) == ['run']


def test_what_is_required_is_what_is_pinned():
  project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
  pins = [
    line
    for line in (ROOT / 'requirements.txt').read_text().splitlines()
    if line and not line.startswith(('#', '-'))
  ]
  assert _names(project['dependencies']) == _names(pins)
  assert __version__ in (ROOT / 'CHANGELOG.md').read_text()


def _names(requirements):
  return sorted(re.match(r'[\w-]+', line)[0].lower() for line in requirements)


def test_everything_that_is_no_code_is_in_the_wheel(wheel):

  names = set(zipfile.ZipFile(wheel).namelist())
  wanted = [
    str(Path(path).relative_to(ROOT))
    for name in _PACKAGES
    for path in (ROOT / name).rglob('*')
    if path.suffix in ('.py', '.html', '.css', '.js')
  ]
  assert wanted and not set(wanted) - names
