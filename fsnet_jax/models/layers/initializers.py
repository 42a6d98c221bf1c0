"""Parameter initialisers, and initialisation of a whole module on the host.

Drawing parameters inside `jit` compiles one random-number program for every
parameter, which takes longer than the training of a small network. The
initialisers here can therefore draw in two ways with the same distribution:
with JAX, as any Flax initialiser does, or with NumPy when `host_init` asks.

Every initialiser takes and returns what Flax expects, `(key, shape, dtype)`
to array, with kernels laid out height, width, in, out.
"""

import contextvars
import dataclasses
import functools
import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fsnet_jax.models.network import Network

_RECORD: contextvars.ContextVar[list[tuple[Any, 'Initializer']] | None] = (
  contextvars.ContextVar('host_init_record', default=None)
)

# What Flax's BatchNorm gives its running statistics, which have no
# initialiser that a caller could choose.
_STATISTICS = {'mean': 0.0, 'var': 1.0}


@dataclasses.dataclass(frozen=True)
class Initializer:
  """A distribution of parameters.

  Attributes:
    kind: 'constant', 'normal' or 'uniform'.
    scale: maps a shape to the constant, the standard deviation, or the bound
      of the symmetric interval, in this order of kinds.
  """

  kind: str
  scale: Callable[[tuple[int, ...]], float]

  def __call__(self, key: Any, shape: Any, dtype: Any = jnp.float32) -> Any:
    """Draws with JAX, or leaves a placeholder where `host_init` is at work."""
    shape = tuple(shape)
    record = _RECORD.get()
    if record is not None:
      placeholder = jnp.zeros(shape, dtype)
      record.append((placeholder, self))
      return placeholder
    scale = self.scale(shape)
    if self.kind == 'constant':
      return jnp.full(shape, scale, dtype)
    if self.kind == 'normal':
      return scale * jax.random.normal(key, shape, dtype)
    return jax.random.uniform(key, shape, dtype, -scale, scale)

  def draw(
    self, generator: np.random.Generator, shape: tuple[int, ...]
  ) -> np.ndarray:
    """Draws a float32 array with NumPy."""
    scale = np.float32(self.scale(shape))
    if self.kind == 'constant':
      return np.full(shape, scale, np.float32)
    if self.kind == 'normal':
      values = generator.standard_normal(shape, dtype=np.float32)
      values *= scale
      return values
    values = generator.random(shape, dtype=np.float32)
    values *= 2 * scale
    values -= scale
    return values


@dataclasses.dataclass(frozen=True)
class Given(Initializer):
  """Values that are known, whatever the seed.

  Attributes:
    values: in the order of the array.
  """

  values: tuple[float, ...] = ()

  def __call__(self, key: Any, shape: Any, dtype: Any = jnp.float32) -> Any:
    """See `Initializer`."""
    if _RECORD.get() is not None:
      return super().__call__(key, shape, dtype)
    return jnp.asarray(self.values, dtype).reshape(shape)

  def draw(
    self, generator: np.random.Generator, shape: tuple[int, ...]
  ) -> np.ndarray:
    """See `Initializer`."""
    del generator
    return np.asarray(self.values, np.float32).reshape(shape)


def given(values: Sequence[float]) -> Initializer:
  """These values, as many as the array has."""
  return Given('given', lambda shape: 0.0, tuple(values))


def constant(value: float) -> Initializer:
  """Every entry is `value`."""
  return Initializer('constant', lambda shape: value)


zeros = constant(0.0)
ones = constant(1.0)


def normal(std: float) -> Initializer:
  """Normal with mean 0 and this standard deviation."""
  return Initializer('normal', lambda shape: std)


def he_fan_out() -> Initializer:
  """Normal, std = sqrt(2 / fan_out): He initialisation of a ReLU network.

  `fan_out` is the kernel's area times its output channels. torchvision
  initialises the convolutions of its VGG and ResNet so.

  Reference: He et al., Delving Deep into Rectifiers, 2015, section 2.2.
  """
  return Initializer(
    'normal',
    lambda shape: math.sqrt(2.0 / (math.prod(shape[:-2]) * shape[-1])),
  )


def he_fan_in() -> Initializer:
  """Normal, std = sqrt(2 / fan_in), fan_in = kernel area x input channels."""
  return Initializer(
    'normal', lambda shape: math.sqrt(2.0 / math.prod(shape[:-1]))
  )


def uniform_fan_in(fan_in: int | None = None) -> Initializer:
  """Uniform on (-a, a), a = 1 / sqrt(fan_in): PyTorch's default for layers.

  Args:
    fan_in: kernel area x input channels. A bias has no fan of its own and
      must be told its kernel's; a kernel finds it in its shape.
  """
  return Initializer(
    'uniform',
    lambda shape: 1.0 / math.sqrt(fan_in or math.prod(shape[:-1])),
  )


def host_init(
  module: Network,
  seed: int,
  *inputs: Any,
  **kwargs: Any,
) -> dict[str, Any]:
  """Initialises a module without compiling or running anything.

  The module is traced once by shape alone; each parameter is then drawn with
  NumPy. A parameter depends on `seed` and on its own path in the tree, not on
  the other parameters: two variants of a network begin with the same values
  wherever they share a layer.

  Args:
    module: a module whose parameters all use initialisers of this file; an
      attribute `remat` is taken as False.
    seed: a non-negative integer.
    *inputs: shape and type of each positional argument of the module, a
      `ShapeDtypeStruct` or a tree of them.
    **kwargs: passed to the module as they are.

  Returns:
    The variable collections, as nested dicts of NumPy arrays.

  Raises:
    TypeError: a variable has an initialiser from elsewhere; it is named.
  """
  _, variables = _described(module, inputs, kwargs)
  return jax.tree.map(lambda variable: variable.draw(seed), variables)


def host_shapes(
  module: Network, *inputs: Any, **kwargs: Any
) -> tuple[Any, dict[str, Any]]:
  """Shapes of what `host_init` draws, and of what the module makes of inputs.

  Args:
    module: as for `host_init`; where that has traced it, nothing is traced.
    *inputs: likewise.
    **kwargs: likewise.

  Returns:
    Its output and its variables, a `ShapeDtypeStruct` for each array.
  """
  output, variables = _described(module, inputs, kwargs)
  return output, jax.tree.map(
    lambda variable: jax.ShapeDtypeStruct(variable.shape, variable.dtype),
    variables,
  )


def _described(
  module: Network, inputs: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
  """Shapes of the output of a module, and its variables."""
  if getattr(module, 'remat', False):
    module = module.clone(remat=False)  # Same tree; placeholders stay.
  leaves, structure = jax.tree.flatten((inputs, kwargs))
  # Whether there are floats of 64 bits decides on types.
  key = module, structure, tuple(leaves), jax.dtypes.canonicalize_dtype(float)
  try:
    hash(key)
  except TypeError:  # A module whose fields may change, or arrays.
    return _traced.__wrapped__(*key)
  return _traced(*key)


@dataclasses.dataclass(frozen=True)
class _Variable:
  """One of a module: where it is in the tree, and how it begins."""

  names: tuple[str, ...]
  shape: tuple[int, ...]
  dtype: Any
  initializer: Initializer | None

  def draw(self, seed: int) -> np.ndarray:
    """Its first value; TypeError if its initialiser is from elsewhere."""
    if self.names[0] == 'batch_stats' and self.names[-1] in _STATISTICS:
      return np.full(self.shape, _STATISTICS[self.names[-1]], self.dtype)
    if self.initializer is None:
      raise TypeError(
        f'Variable {"/".join(self.names)} has an initialiser that cannot draw '
        'on the host; use one of fsnet_jax.models.layers.initializers.'
      )
    place = zlib.crc32('/'.join(self.names).encode())
    generator = np.random.default_rng([seed, place])
    return self.initializer.draw(generator, self.shape).astype(self.dtype)


@functools.lru_cache(maxsize=64)
def _traced(
  module: Network, structure: Any, leaves: tuple[Any, ...], floats: Any
) -> tuple[Any, dict[str, Any]]:
  """A module's output, as shapes, and its variables, a `_Variable` for each.

  A command makes the same network several times: a fresh state, what a
  checkpoint is read into, what fits stand on. Tracing takes a second each.
  """
  del floats
  inputs, kwargs = jax.tree.unflatten(structure, leaves)
  record: list[tuple[Any, Initializer]] = []
  captured: list[Any] = []

  def trace(key: Any, *arguments: Any) -> Any:
    output, variables = module.init_with_output(
      {'params': key}, *arguments, **kwargs
    )
    captured.append(variables)
    return output, variables

  token = _RECORD.set(record)
  try:
    key = jax.eval_shape(lambda: jax.random.key(0))
    output, shapes = jax.eval_shape(trace, key, *inputs)
  finally:
    _RECORD.reset(token)
  # `record` keeps the placeholders alive, so that an id names only one.
  initializers = {id(value): initializer for value, initializer in record}

  def described(path: Any, traced: Any, shape: Any) -> _Variable:
    names = tuple(str(entry.key) for entry in path)
    found = initializers.get(id(traced))
    return _Variable(names, shape.shape, shape.dtype, found)

  return output, jax.tree_util.tree_map_with_path(
    described, captured[0], shapes
  )
