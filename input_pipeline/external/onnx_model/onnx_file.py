"""A segmentation network in an ONNX file, run by onnxruntime."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import pathlib
from typing import Any

import numpy as np

from common_lib.class_table import ClassTable
from common_lib.errors import UserError
from common_lib.foreign import quoted
from input_pipeline.external import description
from input_pipeline.external.channel_map import between
from input_pipeline.external.description import PLAIN, InputFormat
from input_pipeline.external.onnx_model import classifier, onnx_graph
from input_pipeline.external.onnx_model.onnx_inputs import (
  InputShape,
  input_shape,
)
from input_pipeline.external.output_checks import (
  OutputRules,
  Sizes,
  checked_features,
  checked_logits,
)
from input_pipeline.external.preprocessing import prepare
from input_pipeline.external.protocol import ExternalOutput, Notes
from input_pipeline.files import onnx_wire

PROVIDERS = {'cpu': 'CPUExecutionProvider', 'cuda': 'CUDAExecutionProvider'}
INSTALL = 'pip install -r requirements-onnx.txt'
# Where no size is known: all usual strides divide it.
_TRIAL_SIZE = (256, 512)


class OnnxNetwork:
  """A network in an ONNX file, with the `model.json` beside it."""

  takes_any_image = True

  def __init__(
    self,
    path: pathlib.Path,
    classes: ClassTable,
    *,
    threads: int = 0,
    provider: str = 'cpu',
  ):
    """Loads the file, and runs it once where it does not say what it gives.

    Args:
      path: of the file; weights in files beside it are found.
      classes: of the data.
      threads: that one operation is spread over; 0 = all of the machine.
      provider: of `PROVIDERS`.

    Raises:
      UserError: onnxruntime or the provider is missing, the file or its
        `model.json` is not what it should be.
    """
    content, self._graph = _read(path)
    self.path = path
    self.described = described = description.read(path.parent)
    self.classes = classes
    self.notes = Notes()
    self.channels = between(
      described.classes or classes,
      classes,
      described.channels,
      str(described.path),
    )
    self._weights = hashlib.sha256(content)
    for name in self._graph.external:
      self._weights.update(onnx_wire.external_digest(path, name))
    wanted = [name for name in (described.logits, *described.features) if name]
    self._check_names(wanted)
    self._kernel = classifier.weights_name(
      self._graph, described.logits, described.features
    )
    inner = tuple(
      name
      for name in dict.fromkeys([*wanted, self._kernel])
      if name and name not in self._graph.outputs
    )
    self._session = _session(
      path, onnx_graph.with_outputs(content, inner), threads, provider
    )
    self.takes: InputShape = input_shape(self._session, described, path)
    self.logits = described.logits or self._only_logits()
    self.input = self._input()
    self._feature_sizes: dict[tuple[int, int], tuple[int, int]] = {}
    self.feature_channels = 0
    if described.features:
      features = self._trial(self.input.size or _TRIAL_SIZE)
      self.feature_channels = features.shape[-1]

  def feature_size(self, image_size: tuple[int, int]) -> tuple[int, int] | None:
    """Height and width of the features of images of a size, or None."""
    if not self.feature_channels:
      return None
    size = self.input.size or image_size
    if size not in self._feature_sizes:
      self._trial(size)
    return self._feature_sizes[size]

  def classifier(self) -> np.ndarray | None:
    """Weights [k c] of the 1x1 convolution that makes logits of features.

    None where something else, or something more, makes them; an interpolation
    behind it does not count.
    """
    if not self._kernel:
      return None
    size = self.input.size or _TRIAL_SIZE
    shape = (3, *size) if self.takes.channels_first else (*size, 3)
    images = np.zeros((self.takes.batch or 1, *shape), self.takes.dtype)
    feed = {self.takes.name: images}
    kernel = np.asarray(self._session.run([self._kernel], feed)[0])
    chosen = self.channels.channels
    plain = kernel.shape[1:] == (self.feature_channels, 1, 1)
    if not plain or max(map(len, chosen)) > 1:
      return None
    return kernel[[own[0] for own in chosen], :, 0, 0].T.astype(np.float32)

  def with_input(self, how: InputFormat) -> OnnxNetwork:
    """The same network on images that are prepared in another way.

    Args:
      how: its size must be the one of this network.
    """
    other = object.__new__(OnnxNetwork)
    other.__dict__.update(self.__dict__)
    other.input = how
    other.notes = Notes(quiet=True)
    return other

  def fingerprint(self) -> str:
    """SHA-256 of the file, its weights and all that `model.json` decides."""
    digest = self._weights.copy()
    how = {
      'input': dataclasses.asdict(self.input),
      'outputs': [self.logits, *self.described.features],
      'channels': self.channels.channels,
    }
    digest.update(json.dumps(how, sort_keys=True).encode())
    return digest.hexdigest()

  def __call__(self, images: np.ndarray) -> ExternalOutput:
    """Runs the network; see `ExternalNetwork`."""
    sizes = self.sizes(images)
    if sizes.input != sizes.image:
      self.notes.add(
        f'{self.path}: images of {sizes.image[0]}x{sizes.image[1]} are resized'
        f' to {sizes.input[0]}x{sizes.input[1]}, which the network takes'
      )
    names = [self.logits, *self.described.features]
    found = self.run(images, list(dict.fromkeys(names)))
    logits, first = checked_logits(
      found[self.logits], sizes, self.rules(), self.notes
    )
    if not self.described.features:
      return ExternalOutput(logits, None)
    return ExternalOutput(logits, self._features(found, sizes, first))

  def sizes(self, images: np.ndarray) -> Sizes:
    """What a call on images is about."""
    height, width = images.shape[1:3]
    size = self.input.size or (height, width)
    return Sizes(len(images), size, (height, width))

  def _features(
    self, found: dict[str, np.ndarray], sizes: Sizes, channels_first: bool
  ) -> np.ndarray:
    features = checked_features(
      [found[name] for name in self.described.features],
      sizes,
      f'{self.path}: outputs.features',
      channels_first,
    )
    height, width = features.shape[1:3]
    self._feature_sizes[sizes.input] = (height, width)
    return features

  def _trial(self, size: tuple[int, int]) -> np.ndarray:
    """Features of an image of noise."""
    noise = np.random.default_rng(0).integers(0, 256, (1, *size, 3), np.uint8)
    found = self.run(noise, list(self.described.features))
    return self._features(found, self.sizes(noise), self.takes.channels_first)

  def run(self, images: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    """Outputs by name, of any number of images."""
    first = self.takes.channels_first
    inputs = prepare(images, self.input, channels_first=first)
    if self.takes.dtype == np.uint8:  # Of images that were resized.
      inputs = np.rint(inputs)
    inputs = inputs.astype(self.takes.dtype, copy=False)
    piece = self.takes.batch or len(inputs)
    parts = [
      self._run_piece(inputs[start : start + piece], names)
      for start in range(0, len(inputs), piece)
    ]
    return {
      name: np.concatenate([part[index] for part in parts])
      for index, name in enumerate(names)
    }

  def _run_piece(
    self, inputs: np.ndarray, names: list[str]
  ) -> list[np.ndarray]:
    """Outputs of at most as many images as the network takes at once."""
    count = len(inputs)
    missing = max(self.takes.batch - count, 0)
    if missing:
      inputs = np.concatenate([inputs, np.repeat(inputs[-1:], missing, 0)])
    try:
      found = self._session.run(names, {self.takes.name: inputs})
    except Exception as error:  # onnxruntime has a class for each reason.
      shape = ' '.join(str(side) for side in inputs.shape)
      raise UserError(
        f'{self.path}: the network fails on an input of [{shape}] '
        f'({_last_line(error)}); give a size that it takes as input.size in '
        f'{self.described.path}'
      ) from error
    # Of a class map without an axis of images, too, for the checks to see.
    return [
      one[:count] if missing and one.ndim and len(one) > count else one
      for one in found
    ]

  def _check_names(self, names: list[str]) -> None:
    """Raises UserError for tensors that the network does not have."""
    known = (*self._graph.outputs, *self._graph.tensors())
    operations = {node.name: node for node in self._graph.nodes if node.name}
    for name in names:
      if name in known:
        continue
      if name in operations:
        fix = f'is an operation; its output is {operations[name].outputs[0]!r}'
      else:
        close = difflib.get_close_matches(name, known, n=1)
        fix = f'is no tensor of {self.path.name}; '
        fix += (
          f'did you mean {close[0]!r}?'
          if close
          else f'its outputs are {", ".join(self._graph.outputs)}'
        )
      raise UserError(
        f'{self.described.path}: outputs names {quoted(name, 120)!r}, which '
        f'{quoted(fix, 300)}'
      )

  def _only_logits(self) -> str:
    """The output that can be the logits, where no name is given."""
    outputs = [
      one
      for one in self._session.get_outputs()
      if one.name in self._graph.outputs
      and one.name not in self.described.features
    ]
    if len(outputs) > 1:
      fitting = [one for one in outputs if self._may_be_logits(one.shape)]
      outputs = fitting or outputs
    if len(outputs) != 1:
      names = ', '.join(quoted(one.name, 60) for one in outputs) or 'none'
      raise UserError(
        f'{self.path}: any of several outputs can be the logits ({names}); '
        f'name one as outputs.logits in {self.described.path}'
      )
    return outputs[0].name

  def _may_be_logits(self, shape: list[Any]) -> bool:
    return len(shape) == 4 and any(
      isinstance(shape[axis], int) and self.channels.fits(shape[axis])
      for axis in (1, 3)
    )

  def _input(self) -> InputFormat:
    """How images are prepared; says what was assumed."""
    how = self.described.input
    if not self.described.input_given:
      assumed = (
        "RGB, divided by 255, less ImageNet's mean, over its standard deviation"
      )
      if self.takes.dtype == np.uint8:
        how = PLAIN
        assumed = 'RGB as it is'
      self.notes.add(
        f'{self.described.path} gives no input: {assumed} is assumed; '
        '--mode=check shows whether that is right'
      )
    return dataclasses.replace(how, size=how.size or self.takes.size)

  def rules(self) -> OutputRules:
    """What its logits are compared with."""
    maker = self._graph.maker(self.logits)
    export = 'export the network without its argmax'
    if maker is not None and maker.operator in ('ArgMax', 'TopK'):
      export += (
        f', or name what goes into it, outputs.logits = {maker.inputs[0]!r}, '
        f'in {self.described.path}'
      )
    where = f'{self.path}: output {quoted(self.logits, 80)!r}'
    return OutputRules(
      where=where,
      network=where,
      channels=self.channels,
      channels_first=self.takes.channels_first,
      export=export,
      select=(
        f'give "outputs": {{"classes": CHANNELS}} in {self.described.path}'
      ),
    )


def _read(path: pathlib.Path) -> tuple[bytes, onnx_graph.Graph]:
  """A file's bytes and graph."""
  if not path.is_file():
    raise UserError(
      f'config.segmentation.path is {path}, which is no file; give an .onnx '
      'file'
    )
  try:
    content = onnx_wire.content_of(path)
    return content, onnx_graph.read(content)
  except (OSError, onnx_graph.NotOnnx) as error:
    raise UserError(
      f'{path}: it cannot be read as an ONNX file ({quoted(error, 120)}); '
      'export or copy it again'
    ) from error


def _session(
  path: pathlib.Path, content: bytes, threads: int, provider: str
) -> Any:
  """An `onnxruntime.InferenceSession`."""
  try:
    import onnxruntime
  except ImportError as error:
    raise UserError(
      'config.segmentation.name is onnx, for which onnxruntime is missing: '
      f'{INSTALL}'
    ) from error
  if provider not in PROVIDERS:
    raise UserError(
      f'config.segmentation.provider is {quoted(provider, 40)!r}; use '
      f'{" or ".join(PROVIDERS)}'
    )
  if PROVIDERS[provider] not in onnxruntime.get_available_providers():
    raise UserError(
      'config.segmentation.provider is cuda, which this onnxruntime cannot; '
      'pip uninstall onnxruntime, pip install onnxruntime-gpu, or use cpu'
    )
  options = onnxruntime.SessionOptions()
  options.intra_op_num_threads = threads
  options.use_deterministic_compute = True
  options.log_severity_level = 3  # Warnings of optimisation tell users nothing.
  options.add_session_config_entry(
    'session.model_external_initializers_file_folder_path', str(path.parent)
  )
  chosen = list(dict.fromkeys([PROVIDERS[provider], PROVIDERS['cpu']]))
  try:
    session = onnxruntime.InferenceSession(content, options, providers=chosen)
  except Exception as error:  # onnxruntime has a class for each reason.
    raise UserError(
      f'{path}: onnxruntime {onnxruntime.__version__} cannot load it '
      f'({_last_line(error)}); export it again, with an opset that this '
      'version knows'
    ) from error
  # Without a driver or libraries it would run on the CPU and say nothing.
  if PROVIDERS[provider] not in session.get_providers():
    raise UserError(
      'config.segmentation.provider is cuda, but onnxruntime cannot start it '
      '(driver, CUDA or cuDNN of another version); install what '
      'onnxruntime-gpu asks for, or use cpu'
    )
  return session


def _last_line(error: Exception) -> str:
  lines = [line for line in str(error).splitlines() if line.strip()]
  return quoted(lines[-1] if lines else type(error).__name__, 200)
