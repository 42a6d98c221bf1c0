"""Compiling for a single call, soon rather than well."""

import functools

import jax

# Half the time to compile, ten times the time to run: right for a test that
# runs a program once on small arrays.
jit = functools.partial(
  jax.jit,
  compiler_options={
    'xla_backend_optimization_level': 0,
    'xla_llvm_disable_expensive_passes': True,
  },
)
