"""Writes the report folder of an active-learning run."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from common_lib.class_table import VOID
from common_lib.console import say, show
from common_lib.files import write_bytes
from fsnet_jax.builders.classes import class_table
from fsnet_jax.report.figures import plots
from fsnet_jax.report.pages import templates
from fsnet_jax.runtime import environment
from input_pipeline.sources import Source
from segxal_jax import acquisition, depth, oracles
from segxal_jax.config import builders, own_learner
from segxal_jax.loop import cycle_files
from segxal_jax.oracles import simulated_clicks
from segxal_jax.pool.ledger import Ledger
from segxal_jax.pool.sources import has_truth
from segxal_jax.pool.streaming import scene_texts
from segxal_jax.queries import storage, watched
from segxal_jax.report import (
  curves,
  error_shares,
  metrics_json,
  person_time,
  strips,
)
from segxal_jax.report.pages import run_page


def report(
  config: ConfigDict, workdir: Path, origin: Mapping[str, str]
) -> dict[str, Any]:
  """Writes metrics.json, report.html and PNG pictures of what there is.

  Args:
    config: of the run.
    workdir: its folder.
    origin: `config_name` and `command`, so that a reader can repeat the run.

  Returns:
    The contents of metrics.json.

  Raises:
    UserError: nothing has been measured yet.
  """
  pool = builders.pool_source(config)
  entries = metrics_json.cycles(workdir)
  ids = scene_texts(pool, 'id')
  ledger = Ledger(
    workdir / 'pool',
    ids,
    read_only=jax.process_index() > 0,
    num_classes=class_table(config).num_classes,
  )
  ledger.require(entries[-1]['cycle'])
  entries = metrics_json.with_answers(entries, ledger)
  for entry in entries:
    entry['time'] = person_time.of_cost(
      entry['cost'], config.oracle.secs_a_click
    )
    counts = error_shares.of_cycle(workdir, entry['cycle'], lambda: pool)
    entry['error_shares'] = counts and counts.shares()
  metrics = metrics_json.metrics(
    entries,
    config.to_dict(),
    environment.describe() | dict(origin),
    metrics_json.reason(workdir) or 'it has not ended yet',
  )
  if jax.process_index() == 0:
    _write(config, workdir, metrics, pool, ledger)
  return metrics


def _write(
  config: ConfigDict,
  workdir: Path,
  metrics: Mapping[str, Any],
  pool: Source,
  ledger: Ledger,
) -> None:
  """The files themselves."""
  folder = workdir / 'report'
  folder.mkdir(parents=True, exist_ok=True)
  followed = watched.watched(
    config.seed, config.report.num_watched, ledger, len(pool)
  )
  sheets = _through_cycles(workdir, metrics, pool, followed)
  num_examples = config.report.num_examples
  sheets |= _questions(num_examples, workdir, metrics, pool, ledger)
  rate = config.oracle.secs_a_click
  files = {'curves.png': _curves(metrics, pool, rate)}
  for name, (_, sheet) in sheets.items():
    files[f'{name}.png'] = _encoded(sheet, 'png')
  pictures = {'curves': files['curves.png']} | {
    caption: _encoded(sheet, 'webp', quality=88, method=2)
    for caption, sheet in sheets.values()
  }
  page = run_page.render(metrics, _facts(config, metrics), pictures)
  files['metrics.json'] = (json.dumps(metrics, indent=2) + '\n').encode()
  files['report.html'] = page.encode()
  for name, content in files.items():
    write_bytes(folder / name, content)
  show(_text_table(metrics))
  say(f'report: {folder / "report.html"}')


def _facts(config: ConfigDict, metrics: Mapping[str, Any]) -> dict[str, str]:
  """The header of the page."""
  last = metrics['cycles'][-1]
  return {
    'Strategy': acquisition.create(config.acquisition.strategy).title,
    'Oracle': _oracle(config),
    'Selection': _selection(config),
    'Proximity from': depth.create(config.depth).title,
    'Network': _network(config),
    'Pool': f'{last["pool_images"]:,} images of {config.data.name}',
    'Cycles': str(last['cycle']),
    'Seed': str(config.seed),
    'Device': str(metrics['environment']['device']),
    'Date': str(metrics['environment']['date']),
  }


def _network(config: ConfigDict) -> str:
  if own_learner.is_command(config):
    return "the user's own, trained by config.learner.command"
  return f'{config.segmentation.name}, width {config.width:g}'


def _oracle(config: ConfigDict) -> str:
  """Who answers: also where single pixels are queried."""
  if builders.region_selector(config).exact:
    return simulated_clicks.SparseHuman.title
  return oracles.ORACLES[config.oracle.kind].title


def _selection(config: ConfigDict) -> str:
  if config.selection.rule == 'all':
    return 'every annotated image'
  return f'macro Dice of at least {config.selection.theta:g}'


def _curves(
  metrics: Mapping[str, Any], pool: Source, secs_a_click: float
) -> bytes:
  """The learning curve of every data set."""
  pixels = None
  if has_truth(pool, len(pool) - 1):
    pixels = sum(_labelled_pixels(pool, index) for index in range(len(pool)))
  drawn = [
    curves.Curve(name, [curves.by_axis(metrics['cycles'], name)])
    for name in metrics['datasets']
  ]
  return plots.to_png(curves.figure(drawn, pixels, secs_a_click))


def _labelled_pixels(pool: Source, index: int) -> int:
  return int((np.asarray(pool[index]['label']) != VOID).sum())


def _through_cycles(
  workdir, metrics, pool, followed
) -> dict[str, tuple[str, Any]]:
  """The watched images: file name to caption and picture."""
  cycles = [entry['cycle'] for entry in metrics['cycles'] if entry['asked']]
  folders = [
    cycle_files.folder_of(workdir, cycle) / watched.FOLDER for cycle in cycles
  ]
  sheets = {}
  for index in sorted(followed) if folders else ():
    found = [_maps(storage.path(folder, index)) for folder in folders]
    history = [maps for maps in found if maps is not None]
    if len(history) < len(found):
      continue
    heading = f'{pool[index]["id"]} through the cycles'
    sheets[f'watched_{index:07d}'] = (
      heading,
      strips.through_cycles(
        history,
        _truth(pool, index),
        heading,
        templates.class_table_of(metrics),
      ),
    )
  return sheets


def _questions(
  num_examples: int,
  workdir: Path,
  metrics: Mapping[str, Any],
  pool: Source,
  ledger: Ledger,
) -> dict[str, tuple[str, Any]]:
  """The first questions of each cycle: file name to caption and picture."""
  sheets = {}
  for entry in metrics['cycles']:
    cycle = entry['cycle']
    folder = cycle_files.folder_of(workdir, cycle) / 'questions'
    answers = [a for a in ledger.annotations() if a.cycle == cycle]
    selection = ledger.selection(cycle)
    for annotation in answers[:num_examples]:
      maps = _maps(storage.path(folder, annotation.index))
      if maps is None:
        continue
      caption = f'Cycle {cycle}: {annotation.id}'
      accepted = annotation.index in (selection or {}).get('accepted', ())
      cost = annotation.cost
      time = f' in {person_time.shown(cost.seconds)}' if cost.seconds else ''
      heading = (
        f'{caption}   {cost.pixels:,} pixels and {cost.clicks:,} clicks{time}, '
        f'{"accepted" if accepted else "not accepted"}'
      )
      sheets[f'cycle{cycle:03d}_{annotation.index:07d}'] = (
        caption,
        strips.strip(
          maps,
          heading,
          ledger.read(annotation),
          _truth(pool, annotation.index),
          templates.class_table_of(metrics),
        ),
      )
  return sheets


def _truth(pool: Source, index: int) -> np.ndarray | None:
  """The ground truth of an image, if the data set has one."""
  return np.asarray(pool[index]['label']) if has_truth(pool, index) else None


def _maps(file: Path) -> storage.Maps | None:
  """What was written about an image; None, with a note, where it is gone.

  Raises:
    UserError: the file is damaged.
  """
  if not file.exists():
    say(f'note: {file} is missing: the report lacks its picture')
    return None
  return storage.read(
    file,
    'restore it from a backup, or delete it: the report then lacks its picture',
  )


def _encoded(picture: np.ndarray, kind: str, **settings: int) -> bytes:
  buffer = io.BytesIO()
  Image.fromarray(picture).save(buffer, format=kind, **settings)
  return buffer.getvalue()


def _text_table(metrics: Mapping[str, Any]) -> str:
  """The learning curve for a terminal."""
  names = list(metrics['datasets'])
  lines = [
    'cycle  images   pixels  clicks  ' + '  '.join(f'mIoU {n}' for n in names)
  ]
  for entry in metrics['cycles']:
    cost = entry['cost']
    mious = '  '.join(
      run_page.percent(entry['datasets'][name]['segmentation']['miou']).rjust(
        len(name) + 5
      )
      for name in names
    )
    lines.append(
      f'{entry["cycle"]:5d} {cost["images"]:7d} {cost["pixels"]:8d} '
      f'{cost["clicks"]:7d}  {mious}'
    )
  return '\n'.join(lines)
