"""TFLite files: made by TensorFlow's converter, run by LiteRT or TensorFlow."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import warnings
from collections.abc import Callable, Generator, Mapping
from typing import Any

import numpy as np

from common_lib.errors import UserError

DTYPES = ('float32', 'float16')
INSTALL = 'pip install -r requirements-tflite.txt'


def converted(
  function: Callable[[Any], Mapping[str, Any]],
  size: tuple[int, int],
  dtype: str,
) -> bytes:
  """A function of one image as a TFLite model.

  Args:
    function: of images uint8 [1 h w 3], in jax; returns arrays by name.
    size: (h, w).
    dtype: of the weights in the file, of `DTYPES`.

  Returns:
    The model; its input is `images`, its outputs have the function's names.

  Raises:
    UserError: TensorFlow is missing, or its converter does not know a part.
  """
  if importlib.util.find_spec('tensorflow') is None:
    raise UserError(
      '--output=FILE.tflite needs the package tensorflow: pip install -r '
      'requirements.txt.'
    )
  with _quiet():
    import tensorflow as tf
    from jax.experimental import jax2tf

    signature = tf.TensorSpec((1, *size, 3), tf.uint8, name='images')
    # What is written is for the CPU, whatever this machine has.
    inside = jax2tf.convert(
      function, with_gradient=False, native_serialization_platforms=('cpu',)
    )
    module = tf.Module()
    module.call = tf.function(
      inside, autograph=False, input_signature=[signature]
    )
    concrete = module.call.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
      [concrete], module
    )
    if dtype == 'float16':
      converter.optimizations = [tf.lite.Optimize.DEFAULT]
      converter.target_spec.supported_types = [tf.float16]
    try:
      return converter.convert()
    # Its errors are of a private class, with a dump of the program.
    except Exception as error:
      lines = str(error).strip().splitlines() or [type(error).__name__]
      problem = lines[0]
  raise UserError(
    f'This run cannot be written as TFLite ({problem}): write .jaxexport or '
    '.onnx.'
  )


def interpreter(content: bytes, what: object) -> Any:
  """What runs a TFLite model, before it has any memory.

  Args:
    content: of the model.
    what: names it in messages.

  Raises:
    UserError: neither LiteRT nor TensorFlow is installed.
    ValueError: it is no model.
  """
  threads = os.cpu_count() or 1
  if importlib.util.find_spec('ai_edge_litert') is not None:
    from ai_edge_litert import interpreter as litert

    return litert.Interpreter(model_content=content, num_threads=threads)
  if importlib.util.find_spec('tensorflow') is None:
    raise UserError(f'{what} needs LiteRT: {INSTALL}.')
  with _quiet():
    import tensorflow as tf

    return tf.lite.Interpreter(model_content=content, num_threads=threads)


def runner(own: Any) -> Callable[..., dict[str, np.ndarray]]:
  """Outputs by name of inputs by name; gives the model its memory."""
  return own.get_signature_runner()


@contextlib.contextmanager
def _quiet() -> Generator[None]:
  """Without warnings that a user can do nothing about."""
  # Read when TensorFlow is first imported.
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    yield
