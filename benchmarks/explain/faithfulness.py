"""Do maps show what the network looks at? Deletion and insertion of pixels.

    python main.py --config=configs/segxal_unet.py:streets --workdir=runs/segxal
    python -m benchmarks.explain.faithfulness --run=runs/segxal

Of each test image of a finished active-learning run the pixels are ranked by a
map. **Deletion** takes them away in that order, the highest first, and notes
how likely the network still finds the classes that it predicted on the whole
image; **insertion** puts them back in that order into an image without any.
Both are means over the share that was moved, 0 to 1 (Petsiuk et al., RISE,
BMVC 2018): a map that shows what the network looks at has a low deletion and a
high insertion. What is taken away is blurred (a Gaussian of `--blur` of the
height): black would be an object of its own.

Every pixel but the own vehicle's counts and is ranked; equal values in an order
drawn by the seed. Beside the maps of the run stand two that know nothing:
`chance` has a value for each cell of Grad-CAM's grid, enlarged as Grad-CAM is,
and `pixels` one for each pixel. Printed: means over the images, and the
difference to `chance`, paired by image, with its 95 % interval.
"""

import argparse
import datetime
import os
from pathlib import Path

import cv2
import numpy as np

MAPS = ('cam', 'pae', 'entropy', 'eem')
CHANCE = ('chance', 'pixels')
TITLES = {
  'cam': 'Grad-CAM',
  'pae': 'PAE',
  'entropy': 'EBU (entropy)',
  'eem': 'EEM',
  'chance': 'chance, in cells',
  'pixels': 'chance, in pixels',
}


def ranks(values, usable, rng):
  """When each pixel of an image is moved, as a share of the usable ones.

  Args:
    values: of a map [h w].
    usable: pixels that are moved [h w].
    rng: draws the order of equal values.

  Returns:
    [h w]: just above 0 for the highest, below 1 for the lowest, and 2, which
    never comes, where a pixel is not usable.
  """
  chosen = np.flatnonzero(usable)
  order = np.lexsort((rng.random(len(chosen)), -values.ravel()[chosen]))
  when = np.full(values.size, 2.0)
  # In the middle of its turn: no share is level with it.
  when[chosen[order]] = (np.arange(len(chosen)) + 0.5) / len(chosen)
  return when.reshape(values.shape)


def curves(score, images, blurred, when, shares):
  """How likely the prediction stays, by the share of pixels that was moved.

  Args:
    score: images [b h w 3] -> [b].
    images: as they are.
    blurred: without anything.
    when: of `ranks` [b h w].
    shares: of the pixels, ascending from 0 to 1.

  Returns:
    Deletion and insertion [shares b].
  """
  rows = []
  for share in shares:
    moved = (when < share)[..., None]
    rows.append(
      (
        score(np.where(moved, blurred, images)),
        score(np.where(moved | (when > 1)[..., None], images, blurred)),
      )
    )
  return np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows])


def area(values, shares):
  """Mean of a curve [shares b] over its width, [b]."""
  return np.trapezoid(values, shares, axis=0)


def chance_maps(shape, grid, rng):
  """Maps that know nothing [b h w]: of cells, and of pixels."""
  count, height, width = shape
  cells = rng.random((count, *grid), np.float32)
  return {
    'chance': np.stack([cv2.resize(one, (width, height)) for one in cells]),
    'pixels': rng.random(shape, np.float32),
  }


def blur(images, share):
  """Images [b h w 3] without what is in them, float32."""
  sigma = share * images.shape[1]
  return np.stack(
    [cv2.GaussianBlur(one.astype(np.float32), (0, 0), sigma) for one in images]
  )


def table(areas):
  """Rows for each map: means, and the difference to chance by image.

  Args:
    areas: {map: (deletion [n], insertion [n])}.

  Returns:
    {map: (deletion, insertion, differences)}; a difference is mean and half
    width of its interval, of deletion and of insertion; none for chance itself.
  """
  from segxal_jax.report import paired

  rows = {}
  for name, both in areas.items():
    differences = None
    if name != 'chance':
      compared = [
        paired.compare((mine - other).tolist())
        for mine, other in zip(both, areas['chance'], strict=True)
      ]
      differences = [
        (one['mean'], one['half_width']) for one in compared if one
      ]
    rows[name] = (*(float(values.mean()) for values in both), differences)
  return rows


def measured(run, spec, settings):
  """Deletion and insertion of every map on every image, {map: (n, n)}."""
  import jax
  import jax.numpy as jnp

  from fsnet_jax.builders import data_sources
  from segxal_jax.config import builders
  from segxal_jax.explanation import step
  from segxal_jax.pool.streaming import stream

  state = run.restore()
  params, stats = state.train.params, state.train.batch_stats
  maps_step = jax.jit(
    step.make_maps_step(run.model, builders.explain_options(run.config))
  )
  apply = step.logits_fn(run.model)

  @jax.jit
  def likely(images, classes, usable):
    logits = apply(step.variables_of(params, stats), images)
    found = jnp.take_along_axis(
      jax.nn.softmax(logits), classes[..., None].astype(jnp.int32), -1
    )[..., 0]
    return (found * usable).sum((1, 2)) / usable.sum((1, 2))

  source = data_sources.source(run.config, spec, depth=True)
  rng = np.random.default_rng(settings.seed)
  shares = np.linspace(0, 1, settings.steps + 1)
  indices = list(range(min(len(source), settings.images)))
  found = {name: ([], []) for name in (*MAPS, *CHANCE)}
  view = builders.pool_view(run.config)
  for batch in stream(source, indices, run.config.eval.batch_size, view):
    inputs = {name: batch[name] for name in ('image', 'near', 'usable')}
    maps = jax.device_get(maps_step(params, stats, inputs))
    images = batch['image'].astype(np.float32)
    blurred, usable = blur(images, settings.blur), batch['usable']
    grid = [side // settings.stride for side in images.shape[1:3]]
    maps |= chance_maps(usable.shape, grid, rng)

    def score(changed, classes=maps['prediction'], usable=usable):
      return np.asarray(likely(changed, classes, usable))

    for name, lists in found.items():
      when = np.stack(
        [ranks(*one, rng) for one in zip(maps[name], usable, strict=True)]
      )
      both = curves(score, images, blurred, when, shares)
      for values, kept in zip(both, lists, strict=True):
        kept.append(area(values, shares)[batch['mask']])
  return {
    name: tuple(np.concatenate(kept) for kept in lists)
    for name, lists in found.items()
  }


def parse_arguments():
  """The command line."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--run', required=True, help='--workdir of the run')
  parser.add_argument('--images', type=int, default=48, help='at most')
  parser.add_argument('--steps', type=int, default=20, help='of a curve')
  parser.add_argument('--blur', type=float, default=0.1)
  parser.add_argument(
    '--stride', type=int, default=16, help="pixels to a cell of Grad-CAM's grid"
  )
  parser.add_argument('--seed', type=int, default=0)
  return parser.parse_args()


def main():
  from benchmarks.train_step import machine
  from configs import stored_run
  from fsnet_jax.runtime.interrupts import StopRequest
  from segxal_jax.loop.context import Run

  settings = parse_arguments()
  config = stored_run.get_config(settings.run)
  spec = config.eval.datasets[0]
  print(f'{datetime.date.today()}, {machine()}')
  with StopRequest('while measuring', has_work=False) as stop:
    run = Run(config, Path(settings.run), stop)
    try:
      areas = measured(run, spec, settings)
    finally:
      run.close()
  count = len(areas['cam'][0])
  print(f'{count} images of {spec}, {settings.steps} steps, areas in %')
  print(f'{"map":20}{"deletion":>10}{"insertion":>11}{"- chance":>17}{"":>17}')
  for name, (deletion, insertion, differences) in table(areas).items():
    line = f'{TITLES[name]:20}{100 * deletion:10.2f}{100 * insertion:11.2f}'
    for mean, half in differences or ():
      line += f'{100 * mean:+10.2f} ± {100 * (half or 0):4.2f}'
    print(line)
  print(f'load at the end: {os.getloadavg()[0]:.1f}')


if __name__ == '__main__':
  main()
