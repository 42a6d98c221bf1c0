"""Imports between folders point one way, and the core stays light."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT

# From the ground up: a file imports from its own floor and those before it.
# A folder that has floors of its own inside comes after them: what is left of
# it are the files that belong to none.
FLOORS = (
  'common_lib',
  # Imported by name alone, by whoever reads the command line.
  'configs',
  'street_scenes/types',
  'street_scenes/colors',
  'street_scenes/random_choices',
  'street_scenes/geometry',
  'street_scenes/objects',
  'street_scenes/layout',
  'street_scenes/render',
  'street_scenes',
  'input_pipeline/files',
  'input_pipeline',
  # Networks outside JAX, for whoever makes, fits or evaluates one.
  'input_pipeline/external',
  'fsnet_jax/models',
  'fsnet_jax/metrics',
  'fsnet_jax/detectors',
  'fsnet_jax/steps',
  'fsnet_jax/config',
  'fsnet_jax/runtime',
  'fsnet_jax/weights',
  'fsnet_jax/builders',
  'fsnet_jax/training',
  'fsnet_jax/learned_detectors',
  'fsnet_jax/report',
  'fsnet_jax/evaluation',
  'fsnet_jax/monitor',
  'fsnet_jax/experiments',
  'fsnet_jax/cli',
  'segxal_jax/uncertainty',
  'segxal_jax/explanation',
  # The public names of two parts of `explanation`.
  'segxal_jax/error_mask',
  'segxal_jax/gradcam',
  'segxal_jax/depth',
  'segxal_jax/acquisition',
  'segxal_jax/pool',
  'segxal_jax/queries',
  'segxal_jax/oracles',
  'segxal_jax/learners',
  # Its check makes what a config names, so it is above all of that.
  'segxal_jax/config',
  'segxal_jax/loop',
  'segxal_jax/report',
  'segxal_jax/experiments',
  'segxal_jax/cli',
  'launcher',
  'examples',
  'main',
)
PACKAGES = tuple(
  sorted({floor.split('/')[0] for floor in FLOORS if floor != 'main'})
)
FILES = sorted(
  path for package in PACKAGES for path in (ROOT / package).rglob('*.py')
)
MOST_ENTRIES = 15
# A file a command, which users type the name of.
CROWDED = {'configs': 18}


# Several tests ask this of each file.
@functools.cache
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


def _floor(module: str) -> int | None:
  """Number of a module's floor; None for what is not ours."""
  name = module.replace('.', '/')
  inside = [f for f in FLOORS if name == f or name.startswith(f + '/')]
  return FLOORS.index(max(inside, key=len)) if inside else None


def _name(path: Path) -> str:
  """The module of a file."""
  parts = path.relative_to(ROOT).with_suffix('').parts
  return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def test_floors_are_those_that_there_are():
  for floor in FLOORS:
    assert (ROOT / floor).is_dir() or (ROOT / f'{floor}.py').is_file(), floor
  for package in ('fsnet_jax', 'segxal_jax', 'street_scenes'):
    for folder in (ROOT / package).iterdir():
      if (folder / '__init__.py').exists():
        assert f'{package}/{folder.name}' in FLOORS


@pytest.mark.parametrize(
  ('module', 'floor'),
  [
    ('fsnet_jax.models.fsnet', 'fsnet_jax/models'),
    ('street_scenes.render.shading.shade', 'street_scenes/render'),
    ('street_scenes.contact_sheet', 'street_scenes'),
    ('input_pipeline.loader', 'input_pipeline'),
    ('segxal_jax.gradcam', 'segxal_jax/gradcam'),
    ('main', 'main'),
  ],
)
def test_the_floor_of_a_module(module, floor):
  assert FLOORS[_floor(module)] == floor


def test_others_have_no_floor():
  assert _floor('numpy.random') is None
  assert _floor('configs_of_others') is None


@pytest.mark.parametrize('path', FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
  own = _floor(_name(path))
  # A package itself is only a docstring, whatever its floors.
  if own is None:
    assert path.name == '__init__.py' and not _imports(path)
    return
  higher = {
    module
    for module in _imports(path)
    if (floor := _floor(module)) is not None and floor > own
  }
  assert higher == set(), f'{path}: {FLOORS[own]} is below what it imports'


@pytest.mark.parametrize('path', FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_package_imports_a_config_and_the_lowest_need_no_jax(path):
  modules = _imports(path)
  package = path.relative_to(ROOT).parts[0]
  forbidden = [] if package == 'configs' else ['configs']
  if package not in ('fsnet_jax', 'segxal_jax', 'launcher'):
    forbidden += ['jax', 'flax']
  assert [name for name in forbidden if _touches(modules, name)] == []


def test_no_folder_holds_more_than_can_be_taken_in():
  crowded = {}
  for top in (*PACKAGES, 'tests', 'benchmarks', 'docs'):
    for folder in [ROOT / top, *(ROOT / top).rglob('*/')]:
      if '__pycache__' in folder.parts:
        continue
      entries = [
        entry.name
        for entry in folder.iterdir()
        if entry.name not in ('__init__.py', '__pycache__')
        and not entry.name.startswith('.')
        and entry.suffix not in ('.png', '.jpg', '.webp', '.gif')
      ]
      if len(entries) > MOST_ENTRIES:
        crowded[str(folder.relative_to(ROOT))] = len(entries)
  assert crowded == CROWDED


@pytest.mark.parametrize('path', FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_libraries_stay_in_their_rooms(path):
  modules = _imports(path)
  parts = path.relative_to(ROOT).parts
  if parts[0] == 'input_pipeline' or parts[:2] == ('fsnet_jax', 'runtime'):
    return
  heavy = ('orbax', 'clu', 'tensorflow', 'tensorflow_datasets', 'grain')
  assert [name for name in heavy if _touches(modules, name)] == []


def test_ranking_metrics_have_one_door():
  inside = 'fsnet_jax.metrics.ranking'
  modules = {path.stem for path in (ROOT / inside.replace('.', '/')).iterdir()}
  outside = [
    path
    for path in [
      *FILES,
      *(ROOT / 'benchmarks').rglob('*.py'),
      *(ROOT / 'tests').rglob('*.py'),
    ]
    if path.parent.parts[-2:] != ('metrics', 'ranking')
  ]
  found = {
    str(path.relative_to(ROOT))
    for path in outside
    if _imports(path) & {f'{inside}.{module}' for module in modules}
  }
  assert len(outside) > 400 and len(modules) > 10 and found == set()


def test_the_compute_core_needs_jax_flax_and_optax_alone():
  # A GPU machine may lack tensorflow, clu, grain and tfds.
  program = """
import sys
for name in ('tensorflow', 'tensorflow_datasets', 'grain', 'clu', 'orbax',
             'orbax.checkpoint', 'array_record'):
  sys.modules[name] = None
import fsnet_jax.steps.train_step, fsnet_jax.steps.optimizers
import fsnet_jax.steps.eval_step, fsnet_jax.metrics.ranking
import fsnet_jax.detectors, fsnet_jax.learned_detectors
"""
  subprocess.run([sys.executable, '-c', program], check=True, cwd=ROOT)


def test_no_command_waits_for_tensorflow_or_matplotlib():
  # TensorFlow's import takes as long as all others together, and events are
  # opened in a thread; matplotlib's figures are drawn at the end alone.
  program = """
import sys
import fsnet_jax.cli, fsnet_jax.training.from_config
import fsnet_jax.evaluation.evaluate, segxal_jax.loop.context
import fsnet_jax.monitor.predict.from_run, input_pipeline.datasets.streets
sys.exit(sorted({'tensorflow', 'matplotlib.figure'} & set(sys.modules)) or 0)
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


# Who reads configs: what is below gets typed options, networks and data.
READERS_OF_CONFIGS = (
  'fsnet_jax/config',
  'fsnet_jax/builders',
  'fsnet_jax/experiments',
  'fsnet_jax/cli',
  'segxal_jax/config',
  'segxal_jax/experiments',
  'segxal_jax/cli',
  'launcher',
)


# Files elsewhere whose functions take a whole config: it is stored, compared
# with a stored one, or another run's is derived from it, which stores it.
TAKE_CONFIGS = {
  'fsnet_jax/runtime/stored_config.py': 'compares it with a stored one',
  'fsnet_jax/runtime/workdir.py': 'stores it',
  'fsnet_jax/training/from_config.py': 'builds a training, which is above',
  'fsnet_jax/training/phase1_reuse.py': 'compares it with a stored one',
  'fsnet_jax/learned_detectors/__init__.py': 'stores it with a fit',
  'fsnet_jax/learned_detectors/fit_metadata.py': 'stores it with a fit',
  'fsnet_jax/learned_detectors/frozen_segmentation.py': "derives another S's",
  'fsnet_jax/learned_detectors/cross_predictions.py': "derives another S's",
  'fsnet_jax/learned_detectors/corrections/phase3.py': "derives a fit's",
  'fsnet_jax/evaluation/evaluate.py': 'stores it in metrics.json',
  'fsnet_jax/evaluation/cache.py': 'compares it with a stored one',
  'fsnet_jax/evaluation/external_check.py': 'opens what it names',
  'fsnet_jax/evaluation/folders.py': 'names a folder by it',
  'fsnet_jax/monitor/backends/checkpoint.py': 'opens the run that has it',
  'fsnet_jax/monitor/export/from_run.py': 'opens the run that has it',
  'fsnet_jax/monitor/calibration/promise.py': 'names what is evaluated',
  'fsnet_jax/monitor/calibration/run.py': 'opens the run that has it',
  'fsnet_jax/monitor/predict/from_run.py': 'opens the run that has it',
  'segxal_jax/loop/context.py': 'hands it to the builders, by stage',
  'segxal_jax/loop/driver.py': 'hands it to the builders, by stage',
  'segxal_jax/loop/predictor.py': "opens a cycle's network, as context does",
  'segxal_jax/report/write.py': 'stores it in metrics.json, and shows it',
  'segxal_jax/report/baselines.py': 'stores it in metrics.json',
  'segxal_jax/report/comparison.py': 'stores it in comparison.json',
}
# Folders of parts that a user may add to: each reads a section of its own.
READ_SECTIONS = ('segxal_jax/depth/', 'segxal_jax/oracles/')


@functools.cache
def _parameters(path: Path) -> dict[str, list[str]]:
  """The annotations of the parameters of a file's functions, by name."""
  found = {}
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.FunctionDef):
      for one in ast.walk(node.args):
        if isinstance(one, ast.arg):
          text = ast.unparse(one.annotation) if one.annotation else ''
          found.setdefault(one.arg, []).append(text)
  return found


def test_every_config_has_a_type():
  untyped = [
    str(path.relative_to(ROOT))
    for path in [*FILES, *(ROOT / 'benchmarks').rglob('*.py')]
    if {'Any', ''}.intersection(_parameters(path).get('config', ()))
  ]
  assert untyped == []


def test_below_the_builders_nobody_takes_a_config():
  found = set()
  for path in FILES:
    name = str(path.relative_to(ROOT))
    floor = name.removesuffix('.py')
    if path.relative_to(ROOT).parts[0] == 'configs' or any(
      floor == reader or floor.startswith(f'{reader}/')
      for reader in READERS_OF_CONFIGS
    ):
      continue
    annotations = sum(_parameters(path).values(), [])
    if any('ConfigDict' in text for text in annotations):
      found.add(name)
  # One that no longer does is no exception any more.
  sections = {name for name in found if name.startswith(READ_SECTIONS)}
  assert found - sections == TAKE_CONFIGS.keys()
  for name in sections:
    assert 'config' not in _parameters(ROOT / name)
