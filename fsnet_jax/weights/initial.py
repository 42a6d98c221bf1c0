"""`config.init`: which parameters a run begins with.

Each field names a folder of converted weights; `backbone` may also be the
HED archive itself, and `segmentation` an earlier run of this program or one
of its checkpoints. `check` finds every mistake without reading an array;
`load` puts the arrays in their places.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from common_lib.errors import UserError
from common_lib.foreign import quoted
from fsnet_jax.models.fsnet import FSNet
from fsnet_jax.runtime.storage import checkpoint_folders
from fsnet_jax.weights import folders, vgg_hed

Tree = dict[str, Any]

# By segmentation network: what its backbone is called here and in its tree.
_BACKBONES = {'fcn8': ('vgg16', 'vgg'), 'deeplab_v2': ('resnet101', 'backbone')}
_WHOLE = {'fcn8': 'fcn8', 'deeplab_v2': 'deeplabv2'}
_FIRST = {'fcn8': ('vgg', 'conv1_1'), 'deeplab_v2': ('backbone', 'conv1')}
# Fields of `config.segmentation` that leave the meaning of weights alone.
_FREE = ('features', 'dropout_rate', 'frozen_bn')
_STEM = ('params', 'conv1', 'kernel')


class _Source(NamedTuple):
  """A folder of converted weights that the config names.

  Attributes:
    field: of `config.init`.
    folder: what the field names.
    arch: what the folder must hold.
    width: field of the config with the network's width, and its value.
    network: 'segmentation' or 'failure'.
    part: the backbone's name in that network; '' for several or all of it.
  """

  field: str
  folder: Path
  arch: str
  width: tuple[str, float]
  network: str
  part: str = ''

  @property
  def flag(self) -> str:
    return f'config.init.{self.field}={self.folder}'

  def roots(self, params: Tree) -> list[tuple[str, ...]]:
    """Where the weights go, below 'params' and 'batch_stats'."""
    if self.network == 'failure':
      names = [n for n in sorted(params['failure']) if n.startswith('encoder')]
      return [('failure', name) for name in names]
    return [tuple(filter(None, (self.network, self.part)))]


def check(config: Any, model: FSNet) -> None:
  """Raises UserError for whatever `load` would not do.

  Args:
    config: the run's config.
    model: what it describes.
  """
  init = config.init
  if not (init.backbone or init.failure_encoder or init.segmentation):
    return
  if init.backbone and init.segmentation:
    raise UserError(
      'config.init.backbone and config.init.segmentation both set the '
      'backbone of S: give one of them.'
    )
  _check_names(config)
  if init.backbone.endswith('.npz'):
    _check_archive(config)
  if _run_of(init.segmentation):
    _check_run(config)
  stored = {}
  for source in _sources(config):
    stored[source] = folders.describe(source.folder)
    _check_kind(source, stored[source])
  if not stored:
    return
  size = tuple(config.image_size)
  target = _abstract(model, size, bool(init.failure_encoder))
  for source, description in stored.items():
    shapes = folders.shapes_of(description['shapes'])
    for root in source.roots(target['params']):
      _overlay(target, folders.nested(shapes), source, root)


def load(
  config: Any, params: Tree, batch_stats: Tree
) -> tuple[Tree, Tree, list[str]]:
  """Replaces initial values by those that `config.init` names.

  Args:
    config: checked by `check`.
    params: initial parameters of both networks; not changed.
    batch_stats: likewise.

  Returns:
    Parameters and batch statistics, and a sentence on each field used.

  Raises:
    UserError: an array cannot be read after all.
  """
  variables = {'params': params, 'batch_stats': batch_stats}
  init, notes = config.init, []
  if init.backbone.endswith('.npz'):
    segmentation, used = vgg_hed.load_vgg16_npz(
      init.backbone, params['segmentation']
    )
    variables['params'] = {**params, 'segmentation': segmentation}
    notes.append(used)
  run = _run_of(init.segmentation)
  if run:
    variables = _load_run(variables, *run)
    notes.append(f'S begins as it ended in {init.segmentation}.')
  for source in _sources(config):
    tree = folders.read(source.folder)
    file = folders.describe(source.folder)['source']
    for root in source.roots(params):
      variables = _overlay(variables, tree, source, root)
      notes.append(f'{"/".join(root)} begins as {source.arch} of {file}.')
    if source.network == 'segmentation':
      variables = _rescale(variables, config)
  return variables['params'], variables['batch_stats'], notes


def _check_names(config: Any) -> None:
  """Is there a converted form for this segmentation network?"""
  name = config.segmentation.name
  if config.init.backbone and name not in _BACKBONES:
    raise UserError(
      f'config.init.backbone is for {" and ".join(_BACKBONES)}: leave it '
      f'empty for config.segmentation.name={name!r}.'
    )
  field = config.init.segmentation
  if field and name not in _WHOLE and not _run_of(field):
    raise UserError(
      f'config.init.segmentation={field} is no run of this program, and '
      f'converted weights are for {" and ".join(_WHOLE)} alone, not {name}.'
    )


def _sources(config: Any) -> list[_Source]:
  """Every folder of converted weights that the config names."""
  init, sources = config.init, []
  name, width = config.segmentation.name, ('width', config.width)
  if init.backbone and not init.backbone.endswith('.npz'):
    arch, part = _BACKBONES[name]
    folder = Path(init.backbone)
    sources.append(
      _Source('backbone', folder, arch, width, 'segmentation', part)
    )
  if init.segmentation and not _run_of(init.segmentation):
    folder = Path(init.segmentation)
    sources.append(
      _Source('segmentation', folder, _WHOLE[name], width, 'segmentation')
    )
  if init.failure_encoder:
    folder = Path(init.failure_encoder)
    if config.failure.width:
      width = ('failure.width', config.failure.width)
    sources.append(
      _Source('failure_encoder', folder, 'resnet18', width, 'failure')
    )
  return sources


def _check_kind(source: _Source, stored: dict[str, Any]) -> None:
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


def _overlay(
  variables: Tree, stored: Tree, source: _Source, root: tuple[str, ...]
) -> Tree:
  """Variables with the stored arrays in their place."""
  result = dict(variables)
  for collection, tree in stored.items():
    result[collection] = _replace(
      result[collection], root, tree, source, (collection,)
    )
  return result


def _replace(
  target: Tree,
  root: tuple[str, ...],
  stored: Tree,
  source: _Source,
  path: tuple[str, ...],
) -> Tree:
  """A copy of nested dicts in which `stored` replaces leaves below `root`."""
  result = dict(target)
  if root:
    inner = result.get(root[0], {})
    result[root[0]] = _replace(inner, root[1:], stored, source, path)
    return result
  for name, value in stored.items():
    where = (*path, name)
    if name not in result:
      raise UserError(
        f'{source.flag} holds {"/".join(where)}, which the network has not: '
        'check the fields of config.segmentation.'
      )
    if isinstance(value, dict):
      result[name] = _replace(result[name], (), value, source, where)
    elif source.field == 'failure_encoder' and where == _STEM:
      result[name] = _stem(value, result[name], source)
    else:
      _check_shape(value, result[name], source, where)
      result[name] = value
  return result


def _check_shape(stored: Any, target: Any, source: _Source, where: Any) -> None:
  if stored.shape != target.shape:
    raise UserError(
      f'{source.flag}: {"/".join(where)} has shape {stored.shape} where the '
      f'network has {target.shape}; the number of classes, head_width or '
      'width differs.'
    )


def _stem(stored: Any, fresh: Any, source: _Source) -> Any:
  """The first kernel of an RGB network for another number of channels.

  As SynthCP has it: the first three channels get the kernels of red, green
  and blue, whatever they show, and the rest keep their initial values. With
  fewer than three channels, which SynthCP does not meet, each gets the mean
  of the three, times 3 / n, so that a constant input gives the same.
  """
  count = fresh.shape[2]
  _check_shape(stored[:, :, :1], fresh[:, :, :1], source, _STEM)
  if count < 3:
    mean = stored.mean(2, keepdims=True) * np.float32(3 / count)
    return np.repeat(mean, count, 2)
  return np.concatenate([stored, np.asarray(fresh)[:, :, 3:]], 2)


def _rescale(variables: Tree, config: Any) -> Tree:
  """Undoes `segmentation.input_scale` in the first kernel of S.

  Converted weights are for the mean-free image of 0..255 itself.
  """
  scale = np.float32(config.segmentation.input_scale)
  layer, *rest = _FIRST[config.segmentation.name]
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


def _check_archive(config: Any) -> None:
  """`init.backbone` as the HED archive itself."""
  path = config.init.backbone
  if config.segmentation.name != 'fcn8':
    raise UserError(
      f'config.init.backbone={path} holds VGG16, which '
      f'{config.segmentation.name} has not; give a folder of converted '
      'weights.'
    )
  if config.width != 1.0:
    raise UserError(
      f'config.init.backbone needs config.width=1.0, not {config.width}: the '
      "file holds the full network's weights."
    )
  if not Path(path).is_file():
    raise UserError(
      f'config.init.backbone names {path}, which is no file: give the .npz '
      "with VGG16's convolutions, or '' for random weights."
    )


def _run_of(name: str) -> tuple[Path, int] | None:
  """The run's folder and the step, if `name` is a run or a checkpoint."""
  path = Path(name)
  if path.parent.name == 'checkpoints' and path.name.isdigit():
    return path.parent.parent, int(path.name)
  if not name or not (path / 'config.json').is_file():
    return None
  return path, max(checkpoint_folders.steps(path), default=-1)


def _check_run(config: Any) -> None:
  """Is the earlier run there, and its S this one?"""
  name = config.init.segmentation
  run, step = _run_of(name)
  if not (checkpoint_folders.checkpoint(run, step) / 'state').is_dir():
    raise UserError(
      f'config.init.segmentation={name} holds no checkpoint: let that run '
      'save one first.'
    )
  try:
    earlier = json.loads((run / 'config.json').read_text())
    theirs = {**earlier['segmentation'], 'width': earlier['width']}
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise UserError(
      f'{run / "config.json"} cannot be read: config.init.segmentation must '
      'name a run of this program.'
    ) from error
  ours = json.loads(json.dumps(config.segmentation.to_dict()))
  ours['width'] = config.width
  for field in sorted(theirs.keys() & ours.keys() - set(_FREE)):
    if theirs[field] != ours[field]:
      prefix = '' if field == 'width' else 'segmentation.'
      raise UserError(
        f'config.init.segmentation={name} was trained with {prefix}{field} '
        f'{theirs[field]!r}, but config.{prefix}{field} is {ours[field]!r}: '
        'make them equal.'
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
    stored = weights_store.load_arrays(folder / 'state', wanted)
  except (OSError, ValueError, KeyError) as error:
    raise UserError(
      f'config.init.segmentation: {folder} is damaged or holds another network '
      f'({quoted(error, 200)}): run the command of that run again, which goes '
      'on from the checkpoint before it, or name another.'
    ) from error
  source = _Source('segmentation', run, '', ('width', 0), 'segmentation')
  return _overlay(variables, stored, source, ())
