"""What a compiled program takes, and what an out-of-memory says."""

import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import pytest

from common_lib.errors import UserError
from fsnet_jax.models.segmentation import efficientnet_unet, fcn8
from fsnet_jax.runtime.machine import memory
from tests.paths import ROOT

# Prints MiB that are held once many small blocks are freed, after a short and
# after a long compilation, and how often jax tells of a real one.
_FREES = """
import jax
from fsnet_jax.runtime.machine import memory

def resident():
  with open('/proc/self/status') as file:
    (line,) = [line for line in file if line.startswith('RssAnon')]
  return int(line.split()[1]) >> 10

told = []
jax.monitoring.register_event_duration_secs_listener(
  lambda event, seconds, **more: told.append(event))
jax.jit(lambda x: x + 1)(1)
for _ in range(2):
  memory.return_what_compiling_leaves()
blocks = [bytes(5000) for _ in range(40_000)]
last = bytes(5000)
del blocks
found = [resident()]
for seconds in (0.01, 1.0):
  jax.monitoring.record_event_duration_secs(memory._COMPILED, seconds)
  found.append(resident())
print(*found, told[:-2].count(memory._COMPILED))
"""


def test_describe_counts_donated_results_once():
  analysis = types.SimpleNamespace(
    argument_size_in_bytes=3 << 30,
    output_size_in_bytes=3 << 30,
    alias_size_in_bytes=2 << 30,
    temp_size_in_bytes=1 << 29,
  )
  compiled = types.SimpleNamespace(memory_analysis=lambda: analysis)
  assert memory.describe(compiled) == (
    'peak memory 4.5 GiB per device (arguments 3.0 GiB, work 1.5 GiB)'
  )


def test_describe_reads_a_real_program():
  image = jnp.zeros((256, 1024))
  compiled = jax.jit(lambda x: x @ x.T).lower(image).compile()
  words = memory.describe(compiled)
  assert 'arguments 1.0 MiB' in words and words.startswith('peak memory 1.')


def test_describe_is_silent_without_an_analysis():
  compiled = types.SimpleNamespace(memory_analysis=lambda: None)
  assert memory.describe(compiled) == ''


@pytest.mark.skipif(sys.platform != 'linux', reason='glibc is of Linux')
def test_what_a_long_compilation_freed_goes_back():
  result = subprocess.run(
    [sys.executable, '-c', _FREES],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
  )
  freed, after_short, after_long, told = map(int, result.stdout.split())
  assert after_short > freed - 20
  assert after_long < freed - 150
  assert told > 0


def test_xla_knows_the_options_of_steps():
  options = memory.options_of_steps(fcn8.FCN8())
  assert bool(options) == (jax.default_backend() == 'cpu')
  double = jax.jit(lambda x: 2 * x, compiler_options=options)
  assert double(3) == 6
  assert not memory.options_of_steps(efficientnet_unet.EfficientNetUNet())


def test_out_of_memory_names_the_fields_to_change():
  error = jax.errors.JaxRuntimeError(
    'RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.'
  )
  with (
    pytest.raises(UserError) as caught,
    memory.explained('training step 3'),
  ):
    raise error
  for word in ('step 3', 'batch_size', 'accumulate_steps', 'remat', 'image'):
    assert word in str(caught.value)


def test_other_errors_pass():
  with (
    pytest.raises(RuntimeError, match='INTERNAL'),
    memory.explained('training step 3'),
  ):
    raise jax.errors.JaxRuntimeError('INTERNAL: something else')
