"""`config.init`: which parameters a run begins with.

Each field names a folder of converted weights; `backbone` may also be the
HED archive itself, or the weights of a package, and `segmentation` an earlier
run of this program or one of its checkpoints. `check` finds every mistake
without reading an array; `load` puts the arrays in their places.
"""

import dataclasses
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from common_lib.errors import UserError
from common_lib.files import read_json_object
from common_lib.foreign import quoted
from fsnet_jax.config import fields
from fsnet_jax.models.fsnet import FSNet
from fsnet_jax.runtime.storage import checkpoint_folders
from fsnet_jax.weights import folders, packaged, vgg_hed
from fsnet_jax.weights.names import BACKBONES
from fsnet_jax.weights.overlay import Source, check_whole, overlay
from fsnet_jax.weights.prefixes import examples

Tree = dict[str, Any]

_COLLECTIONS = ('params', 'batch_stats')
_STEP = re.compile(r'[0-9]{1,18}')
_WHOLE = {'fcn8': 'fcn8', 'deeplab_v2': 'deeplabv2'}
# Of the networks that look at `segmentation.input_scale`.
_FIRST = {'fcn8': ('vgg', 'conv1_1'), 'deeplab_v2': ('backbone', 'conv1')}


@dataclasses.dataclass(frozen=True)
class InitOptions:
  """What a run begins with, and the networks that this is for.

  Attributes:
    backbone: of S: a folder of converted weights, the HED archive or
      `packaged.WORD`; '' for none, as in the other two.
    segmentation: S: converted weights, a run or a checkpoint.
    failure_encoder: of F: converted weights.
    image_size: (height, width) in pixels.
    width: multiplier of the channels of S, and of F's where it has no own.
    failure_width: of F; 0 where it has that of S.
    network_fields: `config.segmentation` as JSON gives it back, which decides
      what stored weights of S mean.
  """

  backbone: str
  segmentation: str
  failure_encoder: str
  image_size: tuple[int, int]
  width: float
  failure_width: float
  network_fields: Mapping[str, Any]

  @property
  def network(self) -> str:
    """The name of S."""
    return self.network_fields['name']

  def over_run(self, folder: str) -> 'InitOptions':
    """With the S of a run, and with nothing else."""
    return dataclasses.replace(
      self, segmentation=folder, backbone='', failure_encoder=''
    )

  def failure_encoder_alone(self, width: float | None = None) -> 'InitOptions':
    """Without what S begins with, for an F of a width, or of its own."""
    own = self.failure_width if width is None else width
    return dataclasses.replace(
      self, backbone='', segmentation='', failure_width=own
    )


def check(options: InitOptions, model: FSNet) -> None:
  """Raises UserError for whatever `load` would not do.

  Args:
    options: of the run.
    model: what it describes.
  """
  init = options
  if not (init.backbone or init.failure_encoder or init.segmentation):
    return
  if init.backbone and init.segmentation:
    raise UserError(
      'config.init.backbone and config.init.segmentation both set the '
      'backbone of S: give one of them.'
    )
  _check_names(options)
  if init.backbone.endswith('.npz'):
    _check_archive(options)
  if init.backbone == packaged.WORD:
    packaged.check(options.network, options.width)
  if _run_of(init.segmentation):
    _check_run(options)
  stored = {}
  for source in _sources(options):
    stored[source] = folders.describe(source.folder)
    _check_kind(source, stored[source])
  if not stored:
    return
  size = options.image_size
  target = _abstract(model, size, bool(init.failure_encoder))
  for source, description in stored.items():
    shapes = folders.nested(folders.shapes_of(description['shapes']))
    for root in source.roots(target['params']):
      overlay(target, shapes, source, root)
      check_whole(target, shapes, source, root)


def load(
  options: InitOptions, params: Tree, batch_stats: Tree
) -> tuple[Tree, Tree, list[str]]:
  """Replaces initial values by those that `config.init` names.

  Args:
    options: checked by `check`.
    params: initial parameters of both networks; not changed.
    batch_stats: likewise.

  Returns:
    Parameters and batch statistics, and a sentence on each field used.

  Raises:
    UserError: an array cannot be read after all.
  """
  variables = {'params': params, 'batch_stats': batch_stats}
  init, notes = options, []
  if init.backbone.endswith('.npz'):
    segmentation, used = vgg_hed.load_vgg16_npz(
      init.backbone, params['segmentation']
    )
    variables['params'] = {**params, 'segmentation': segmentation}
    notes.append(used)
  if init.backbone == packaged.WORD:
    source = _backbone(options)
    root = ('segmentation', source.part)
    variables = overlay(variables, packaged.read(), source, root)
    notes.append(f'{"/".join(root)} begins as {source.arch} of ImageNet.')
  run = _run_of(init.segmentation)
  if run:
    variables = _load_run(variables, *run)
    notes.append(f'S begins as it ended in {init.segmentation}.')
  for source in _sources(options):
    tree = folders.read(source.folder)
    file = quoted(folders.describe(source.folder).get('source', 'a file'), 80)
    for root in source.roots(params):
      variables = overlay(variables, tree, source, root)
      notes.append(f'{"/".join(root)} begins as {source.arch} of {file}.')
    if source.network == 'segmentation':
      variables = _rescale(variables, options)
  return variables['params'], variables['batch_stats'], notes


def _check_names(options: InitOptions) -> None:
  """Is there a converted form for this segmentation network?"""
  name = options.network
  if options.backbone and name not in BACKBONES:
    raise UserError(
      f'config.init.backbone is for {", ".join(BACKBONES)}: leave it '
      f'empty for config.segmentation.name={name!r}.'
    )
  field = options.segmentation
  if field and name not in _WHOLE and not _run_of(field):
    raise UserError(
      f'config.init.segmentation={field} is no run of this program, and '
      f'converted weights are for {" and ".join(_WHOLE)} alone, not {name}.'
    )


def _backbone(options: InitOptions) -> Source:
  """`init.backbone` as weights for the backbone of S."""
  arch, part = BACKBONES[options.network]
  folder, width = Path(options.backbone), ('width', options.width)
  return Source('backbone', folder, arch, width, 'segmentation', part)


def _sources(options: InitOptions) -> list[Source]:
  """Every folder of converted weights that the config names."""
  init, sources = options, []
  name, width = options.network, ('width', options.width)
  other = init.backbone.endswith('.npz') or init.backbone == packaged.WORD
  if init.backbone and not other:
    sources.append(_backbone(options))
  if init.segmentation and not _run_of(init.segmentation):
    folder = Path(init.segmentation)
    sources.append(
      Source('segmentation', folder, _WHOLE[name], width, 'segmentation')
    )
  if init.failure_encoder:
    folder = Path(init.failure_encoder)
    if options.failure_width:
      width = ('failure.width', options.failure_width)
    sources.append(
      Source('failure_encoder', folder, 'resnet18', width, 'failure')
    )
  return sources


def _check_kind(source: Source, stored: dict[str, Any]) -> None:
  if stored['arch'] != source.arch:
    raise UserError(
      f'{source.flag} holds {stored["arch"]}, but this network needs '
      f'{source.arch}; convert that.'
    )
  field, width = source.width
  if stored['width'] != width:
    raise UserError(
      f'{source.flag} holds {source.arch} at width {stored["width"]:g}, but '
      f'config.{field} is {width:g}: make them equal.'
    )


def _rescale(variables: Tree, options: InitOptions) -> Tree:
  """Undoes `segmentation.input_scale` in the first kernel of S.

  Converted weights are for the mean-free image of 0..255 itself.
  """
  if options.network not in _FIRST:
    return variables
  scale = np.float32(options.network_fields['input_scale'])
  layer, *rest = _FIRST[options.network]
  params = variables['params']
  outer = params['segmentation']
  first = outer[layer][rest[0]]
  first = {**first, 'kernel': np.asarray(first['kernel']) / scale}
  outer = {**outer, layer: {**outer[layer], rest[0]: first}}
  return {**variables, 'params': {**params, 'segmentation': outer}}


def _abstract(
  model: FSNet, image_size: tuple[int, int], with_failure: bool
) -> Tree:
  """Arrays that take no room, laid out as `FSNet.init` has them.

  Args:
    model: the networks.
    image_size: (height, width) in pixels.
    with_failure: whether F's are wanted too.
  """
  key = jax.eval_shape(lambda: jax.random.key(0))
  images = jax.ShapeDtypeStruct((1, *image_size, 3), jnp.float32)

  def build(key: Any, images: Any) -> dict[str, Tree]:
    keys = {'params': key}
    output, variables = model.segmentation.init_with_output(keys, images)
    if not with_failure:
      return {'segmentation': variables}
    failure = model.failure.init(keys, images, output.logits, output.features)
    return {'segmentation': variables, 'failure': failure}

  shapes = jax.eval_shape(build, key, images)
  return {
    collection: {
      network: {
        name: jax.tree.map(lambda x: np.broadcast_to(np.float32(0), x.shape), v)
        for name, v in variables.get(collection, {}).items()
      }
      for network, variables in shapes.items()
    }
    for collection in ('params', 'batch_stats')
  }


def _check_archive(options: InitOptions) -> None:
  """`init.backbone` as the HED archive itself."""
  path = options.backbone
  if options.network != 'fcn8':
    raise UserError(
      f'config.init.backbone={path} holds VGG16, which '
      f'{options.network} has not; give a folder of converted '
      'weights.'
    )
  if options.width != 1.0:
    raise UserError(
      f'config.init.backbone needs config.width=1.0, not {options.width}: the '
      "file holds the full network's weights."
    )
  if not os.path.isfile(path):
    raise UserError(
      f'config.init.backbone names {path}, which is no file: give the .npz '
      "with VGG16's convolutions, or '' for random weights."
    )


def _run_of(name: str) -> tuple[Path, int] | None:
  """The run's folder and the step, if `name` is a run or a checkpoint."""
  path = Path(name)
  if path.parent.name == 'checkpoints' and _STEP.fullmatch(path.name):
    return path.parent.parent, int(path.name)
  if not name or not os.path.isfile(path / 'config.json'):
    return None
  return path, max(checkpoint_folders.steps(path), default=-1)


def _check_run(options: InitOptions) -> None:
  """Is the earlier run there, and its S this one?"""
  name = options.segmentation
  found = _run_of(name)
  assert found is not None  # Else it would not be checked as a run.
  run, step = found
  if not os.path.isdir(checkpoint_folders.checkpoint(run, step) / 'state'):
    raise UserError(
      f'config.init.segmentation={name} holds no checkpoint: let that run '
      'save one first.'
    )
  file = run / 'config.json'
  earlier = read_json_object(
    file, what='the config of a run', fix=f'give another than {name}'
  )
  theirs = earlier.get('segmentation')
  if not isinstance(theirs, dict) or 'width' not in earlier:
    raise UserError(
      f'{file} cannot be read (it has no segmentation or no width): '
      'config.init.segmentation must name a run of this program.'
    )
  theirs = {**theirs, 'width': earlier['width']}
  ours = {**options.network_fields, 'width': options.width}
  for field in sorted(theirs.keys() & ours.keys()):
    prefix = '' if field == 'width' else 'segmentation.'
    if fields.may_differ(f'{prefix}{field}', fields.WEIGHTS):
      continue
    if theirs[field] != ours[field]:
      raise UserError(
        f'config.init.segmentation={name} was trained with {prefix}{field} '
        f'{quoted(repr(theirs[field]), 80)}, but config.{prefix}{field} is '
        f'{ours[field]!r}: make them equal.'
      )


def _load_run(variables: Tree, run: Path, step: int) -> Tree:
  """S of an earlier run's checkpoint."""
  from fsnet_jax.runtime import weights_store

  folder = checkpoint_folders.checkpoint(run, step)
  wanted = {
    name: {'segmentation': tree['segmentation']}
    for name, tree in variables.items()
    if tree['segmentation']
  }
  try:
    _check_extent(weights_store.stored_shapes(folder / 'state'), wanted, run)
    stored = weights_store.load_arrays(folder / 'state', wanted)
  except (OSError, ValueError, KeyError) as error:
    raise UserError(
      f'config.init.segmentation: {folder} is damaged or holds another network '
      f'({quoted(error, 200)}): run the command of that run again, which goes '
      'on from the checkpoint before it, or name another.'
    ) from error
  source = Source('segmentation', run, '', ('width', 0), 'segmentation')
  return overlay(variables, stored, source, ())


def _check_extent(
  stored: dict[tuple[str, ...], Any], wanted: Tree, run: Path
) -> None:
  """Raises UserError if a run's S has arrays that ours has not."""
  ours = {
    tuple(entry.key for entry in path)
    for path, _ in jax.tree_util.tree_leaves_with_path(wanted)
  }
  more = [
    '/'.join(path)
    for path in stored
    if path[0] in _COLLECTIONS and path[1:2] == ('segmentation',)
    if path not in ours
  ]
  if more:
    raise UserError(
      f'config.init.segmentation={run} holds {examples(more)}, which the '
      'network has not: check the fields of config.segmentation.'
    )
