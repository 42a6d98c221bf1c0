"""What all data sets share: the request, the TFDS builder, preparation.

The protocol of a data set
--------------------------
A data set is one module (or package) of `input_pipeline.datasets` and one line
in the table of `datasets/__init__.py`. The module holds

  SPECS: str
    The specs that the data set understands, shown where one cannot be read,
    for example "camvid[/SEQUENCE][:train|val|test]".

  open_source(variant: str, split: str, request: DataRequest) -> Source
    Opens `<dataset>/<variant>:<split>`. A part that the spec leaves out
    arrives as '': the module fills in its default. Unknown variants and splits
    raise `UserError` that lists those which exist. Everything that can be
    checked without reading images is checked before anything is written.
    Labels are trainIds, 255 = void.

  READS_CLASS_TABLE = True
    Only where labels are indices of `request.classes` instead of trainIds.

  has_depth(request: DataRequest) -> bool
    Only where scenes can carry depth: whether they do, by the folders that
    there are.

Most modules do that in three steps: list the scenes (`Scene`), subclass
`SceneBuilder` with a `load(scene)` that returns the arrays of one scene, and
return `open_prepared(builder)`:

  class Streets(SceneBuilder):
    VERSION = tfds.core.Version('1.0.0')  # raise it when the pixels change

    def load(self, scene):
      image, label, depth = draw(scene.origin, self.request.image_size)
      return {'image': image, 'label': label, 'depth': depth}

  def open_source(variant, split, request):
    ...
    scenes = [Scene(id=f'{i:06d}', sequence=variant, origin=(seed, i))
              for i in range(count)]
    name = f'{variant}-{split}'
    return open_prepared(Streets.create(name, {split: scenes}, request))

What is prepared
----------------
One folder `<cache_dir>/<dataset>/<name>-<h>x<w>-<digest>/<version>/` with
ArrayRecord files. The digest covers everything that the data depend on: the
scenes (for files: relative path and SHA-256 of the content), their order and
number, the size and how it is reached, depth or not, `on_error` and the
builder's version. A changed folder or request therefore opens another copy, and
none is written twice. What the digest cannot see is a change of code without
one of the version. Moving or copying `root` as a whole keeps the copy. Old
copies stay until the user deletes them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from common_lib.class_table import CITYSCAPES, ClassTable
from common_lib.errors import UserError
from common_lib.paths import expanded
from input_pipeline import resizing
from input_pipeline.datasets import preparation, prepared
from input_pipeline.files import checksums, hashes
from input_pipeline.sources import Source

# Raise it when the stored features change in a way all data sets share.
_FORMAT_VERSION = 2


@dataclasses.dataclass(frozen=True)
class DataRequest:
  """What the caller wants of a data set, whichever it is.

  Attributes:
    image_size: (h, w) of every image and label, pixels.
    root: folder of the original files (`data.root`); unused by drawn data.
    cache_dir: folder that receives the prepared copies.
    on_error: what a damaged file does: 'stop' ends preparation with its name,
      'skip' leaves the scene out and lists it (`skipped_files`).
    num_examples: split name to number of scenes. Drawn data sets draw that
      many; those of files take that many, evenly spaced over the sorted files
      (all, if there are fewer); 'validation' also stands for 'val'. A split
      that is not named has its default number: for files, all of them.
    depth: whether scenes carry depth. A data set without any raises
      `UserError`.
    resize: of `resizing.METHODS`, how files reach `image_size`; drawn data
      have it.
    classes: what labels are to be in. Data sets keep trainIds, which
      `open_source` of the package maps; `folder` reads its files by them.
    split: shares of the splits, for a data set that has none of its own
      (`folder`); '' where it has.
  """

  image_size: tuple[int, int]
  root: str = ''
  cache_dir: str = 'data'
  on_error: str = 'stop'
  num_examples: Mapping[str, int] = dataclasses.field(default_factory=dict)
  depth: bool = False
  resize: str = 'squeeze'
  classes: ClassTable = CITYSCAPES
  split: str = ''

  @property
  def folder(self) -> pathlib.Path:
    """`root` as a path, `~` expanded."""
    return expanded(self.root)

  def __post_init__(self):
    if len(self.image_size) != 2 or min(self.image_size) < 1:
      raise UserError(
        f'image_size is {self.image_size}; give (height, width) in pixels'
      )
    if self.on_error not in ('stop', 'skip'):
      raise UserError(
        f"data.on_error is {self.on_error!r}; use 'stop' or 'skip'"
      )
    if self.resize not in resizing.METHODS:
      raise UserError(
        f'eval.resize is {self.resize!r}; use one of'
        f' {", ".join(resizing.METHODS)}'
      )
    for name, path in (('root', self.root), ('cache_dir', self.cache_dir)):
      _check_path(name, path)
    for split, count in self.num_examples.items():
      if count < 1:
        raise UserError(
          f'data.num_examples of {split!r} is {count}; give at least 1'
        )


def _check_path(name: str, path: str) -> None:
  """Raises `UserError` for a path that no copy or report can hold."""
  try:
    path.encode()
    problem = 'holds a zero byte' if '\0' in path else ''
  except UnicodeEncodeError:
    problem = 'is not UTF-8'
  if problem:
    raise UserError(f'data.{name} {path!r} {problem}; rename the folder')


@dataclasses.dataclass(frozen=True)
class Scene:
  """One scene that a builder can load.

  Attributes:
    id: unique within the data set, kept in the prepared copy.
    sequence: the clip, city or domain.
    origin: whatever `load` needs, made of values that JSON can write (paths
      relative to the root, seeds); part of the digest.
    files: each file behind the scene, relative to the root; their content is
      part of the digest.
  """

  id: str
  sequence: str
  origin: Any
  files: tuple[str, ...] = ()


@dataclasses.dataclass(eq=False, kw_only=True)
class SceneConfig(tfds.core.BuilderConfig):
  """Configuration of one prepared copy; `name` identifies its content.

  Attributes:
    request: what was asked for.
    scenes: TFDS split name to its scenes, in the order in which they are kept.
  """

  request: DataRequest
  scenes: Mapping[str, Sequence[Scene]] = dataclasses.field(repr=False)


class SceneBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """TFDS builder of street scenes of one size. Subclasses implement `load`."""

  VERSION = tfds.core.Version('1.0.0')
  # TFDS would search the folder of the class for checksums of downloads.
  code_path = None

  def __init_subclass__(cls, **kwargs):
    # Ours are found through the table of `datasets`, not by `tfds.load`.
    super().__init_subclass__(**{**kwargs, 'skip_registration': True})

  @classmethod
  def create(
    cls,
    name: str,
    scenes: Mapping[str, Sequence[Scene]],
    request: DataRequest,
  ) -> SceneBuilder:
    """Makes the builder for these scenes; decodes no image.

    Their files are read to hash them, unless that was done before.

    Args:
      name: readable start of the copy's folder name, `[A-Za-z0-9_.-]+`.
      scenes: TFDS split name (`\\w+`, not 'all') to its scenes.
      request: what the caller wants.

    Returns:
      The builder, ready for `prepare`.

    Raises:
      UserError: there is such a copy, and it is damaged.
    """
    files = [f for group in scenes.values() for s in group for f in s.files]
    if not files:  # drawn at the right size
      request = dataclasses.replace(request, resize='squeeze')
    cache_dir = expanded(request.cache_dir)
    record = hashes.record_file(cache_dir / cls.name, request.folder)
    contents = hashes.of_files(request.folder, files, record)
    identity = {
      'format': _FORMAT_VERSION,
      'builder': [cls.name, str(cls.VERSION)],
      'image_size': list(request.image_size),
      'resize': request.resize,
      'depth': request.depth,
      'on_error': request.on_error,
      'scenes': {
        split: [
          [s.id, s.sequence, s.origin, [[f, contents[f]] for f in s.files]]
          for s in group
        ]
        for split, group in scenes.items()
      },
      **cls.further_identity(request),
    }
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    height, width = request.image_size
    config = SceneConfig(
      # pyrefly: ignore[unexpected-keyword] - a field that TFDS's class adds
      name=f'{name}-{height}x{width}-{digest}',
      request=request,
      scenes=scenes,
    )
    folder = cache_dir / cls.name / config.name / str(cls.VERSION)
    damage = contextlib.nullcontext()
    if checksums.has_copy(folder):  # TFDS reads what is there
      checksums.check(folder)
      damage = checksums.damage(folder)
    with prepared.quiet_tfds(), damage:
      return cls(
        config=config, data_dir=str(cache_dir), file_format='array_record'
      )

  @classmethod
  def further_identity(cls, request: DataRequest) -> dict[str, Any]:
    """What else the data depend on, by name, as JSON can write it."""
    del request
    return {}

  @property
  def request(self) -> DataRequest:
    """What the caller asked for."""
    return self.builder_config.request

  def load(self, scene: Scene) -> dict[str, np.ndarray]:
    """Reads or draws one scene at `request.image_size`.

    It may be called from several threads at once.

    Args:
      scene: one of those given to `create`.

    Returns:
      'image', 'label' and, if requested, 'depth' and 'content', as `Source`
      describes them.

    Raises:
      UserError: a file of the scene is damaged (see `readers`); the message
        starts with the file's name.
    """
    raise NotImplementedError

  def _create_builder_config(self, builder_config, version):
    # TFDS warns about each config that is not in a class attribute, and prints
    # it whole. Ours are all made on request.
    del version
    return builder_config

  def _log_download_bytes(self):
    pass  # TFDS prints "Downloading ..." here, which we never do.

  def _log_download_done(self):
    pass

  def _info(self) -> tfds.core.DatasetInfo:
    height, width = self.request.image_size
    encoding = tfds.features.Encoding
    features = {
      # Raw bytes: PNG would cost more time at each reading than it saves disk.
      'image': tfds.features.Tensor(
        shape=(height, width, 3), dtype=np.uint8, encoding=encoding.BYTES
      ),
      'label': tfds.features.Tensor(
        shape=(height, width), dtype=np.uint8, encoding=encoding.ZLIB
      ),
      'id': tfds.features.Text(),
      'sequence': tfds.features.Text(),
    }
    if self.request.depth:
      features['depth'] = tfds.features.Tensor(
        shape=(height, width), dtype=np.float32, encoding=encoding.ZLIB
      )
    if self.request.resize == 'letterbox':
      features['content'] = tfds.features.Tensor(shape=(4,), dtype=np.int32)
    return prepared.CheckedInfo(
      builder=self,
      features=tfds.features.FeaturesDict(features),
      disable_shuffling=True,  # the source's order is the scenes' order
    )

  def _split_generators(self, dl_manager):
    del dl_manager  # nothing is ever downloaded
    scenes = self.builder_config.scenes
    total = sum(len(group) for group in scenes.values())
    run = preparation.LoadingRun(
      what=f'{self.name} {self.builder_config.name}',
      total=total,
      skip=self.request.on_error == 'skip',
    )
    # TFDS cannot write an empty split, so we wait for each one's first scene.
    splits = {}
    for split, group in scenes.items():
      examples = self._generate_examples(split, group, run)
      first = next(examples, None)
      if first is not None:
        splits[split] = itertools.chain([first], examples)
    if not splits:
      last = run.skipped[-1]['reason'] if run.skipped else 'none was found'
      raise UserError(
        f'{self.name}: none of the {total} scenes of'
        f' {self.builder_config.name} can be used; the last: {last}'
      )
    return splits

  def _generate_examples(
    self, split: str, scenes: Sequence[Scene], run: preparation.LoadingRun
  ) -> Iterator[tuple[int, dict[str, Any]]]:
    # TFDS sorts by key through 1000 buckets over the 128-bit range. Keys that
    # rise evenly over that range keep the order and small buckets; small
    # integers would put the whole data set into the memory of one bucket.
    stride = 2**128 // max(len(scenes), 1)
    for index, arrays in run.load(split, scenes, self.load):
      scene = scenes[index]
      if self.request.resize == 'letterbox' and 'content' not in arrays:
        raise UserError(
          f'{self.name} cannot be letterboxed: its `load` has to use'
          ' `readers.load_scene`; set eval.resize to squeeze'
        )
      yield (
        index * stride,
        {**arrays, 'id': scene.id, 'sequence': scene.sequence},
      )
    # TFDS writes to a folder that it renames when all splits are complete, so
    # the list appears together with the data or not at all.
    path = pathlib.Path(self.data_dir) / prepared.SKIPPED_FILE
    path.write_text(json.dumps(run.skipped, indent=2))


def open_prepared(
  builder: SceneBuilder, splits: Sequence[str] | None = None
) -> Source:
  """Prepares the builder's copy unless it is there, and opens it.

  Args:
    builder: of `SceneBuilder.create`.
    splits: the TFDS splits wanted, in this order; all by default.

  Returns:
    The scenes of those splits, one after the other.

  Raises:
    UserError: a damaged file, a `cache_dir` that cannot be written, or no
      scene left after skipping.
  """
  folder = prepared.prepare(builder)
  return prepared.PreparedSource(
    ((str(folder), tuple(splits or builder.builder_config.scenes)),)
  )
