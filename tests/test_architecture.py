"""Arrows between the rooms point one way, and the core stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT

OURS = (
  'common_lib',
  'configs',
  'fsnet_jax',
  'input_pipeline',
  'segxal_jax',
  'main',
)
FILES = sorted(
  path
  for folder in (
    'common_lib',
    'configs',
    'fsnet_jax',
    'input_pipeline',
    'segxal_jax',
  )
  for path in (ROOT / folder).rglob('*.py')
)


def _imports(path: Path) -> set[str]:
  """Every module that a file imports, at its top or inside a function."""
  modules = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      modules.update(alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f'{path}: relative import'
      modules.add(node.module)
      modules.update(f'{node.module}.{alias.name}' for alias in node.names)
  return modules


def _touches(modules: set[str], package: str) -> bool:
  return any(m == package or m.startswith(package + '.') for m in modules)


@pytest.mark.parametrize('path', FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
  modules = _imports(path)
  room = path.relative_to(ROOT).parts[0]
  forbidden = {
    'common_lib': (
      'fsnet_jax',
      'segxal_jax',
      'input_pipeline',
      'configs',
      'main',
      'jax',
      'flax',
    ),
    'configs': ('fsnet_jax', 'segxal_jax', 'input_pipeline', 'main', 'jax'),
    'input_pipeline': (
      'fsnet_jax',
      'segxal_jax',
      'configs',
      'main',
      'jax',
      'flax',
    ),
    'fsnet_jax': ('segxal_jax', 'configs', 'main'),
    'segxal_jax': ('configs', 'main'),
  }[room]
  assert [name for name in forbidden if _touches(modules, name)] == []


@pytest.mark.parametrize('path', FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_libraries_stay_in_their_rooms(path):
  modules = _imports(path)
  parts = path.relative_to(ROOT).parts
  if parts[0] == 'input_pipeline' or parts[:2] == ('fsnet_jax', 'runtime'):
    return
  heavy = ('orbax', 'clu', 'tensorflow', 'tensorflow_datasets', 'grain')
  assert [name for name in heavy if _touches(modules, name)] == []


def test_the_compute_core_needs_jax_flax_and_optax_alone():
  # A GPU machine may lack tensorflow, clu, grain and tfds.
  program = """
import sys
for name in ('tensorflow', 'tensorflow_datasets', 'grain', 'clu', 'orbax',
             'orbax.checkpoint', 'array_record'):
  sys.modules[name] = None
import fsnet_jax.steps.train_step, fsnet_jax.steps.optimizers
import fsnet_jax.steps.eval_step, fsnet_jax.metrics.ranking.exact
import fsnet_jax.detectors, fsnet_jax.learned_detectors
"""
  subprocess.run([sys.executable, '-c', program], check=True, cwd=ROOT)


def test_only_who_writes_events_waits_for_tensorflow():
  # Its import takes as long as all others together.
  program = """
import sys
import fsnet_jax.cli, fsnet_jax.training.trainer
import fsnet_jax.evaluation.evaluator, segxal_jax.loop.context
sys.exit('tensorflow' in sys.modules)
"""
  subprocess.run([sys.executable, '-c', program], check=True, cwd=ROOT)


def test_functions_and_files_stay_small():
  long = []
  for path in FILES:
    text = path.read_text()
    if len(text.splitlines()) > 400:
      long.append(f'{path}: more than 400 lines')
    for node in ast.walk(ast.parse(text)):
      if isinstance(node, ast.FunctionDef):
        lines = node.end_lineno - node.lineno + 1
        if lines > 60:
          long.append(f'{path}:{node.lineno}: {node.name}: {lines} lines')
  assert long == []
