"""What a result was computed with."""

import datetime
import importlib.metadata
import platform

import jax

_PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'grain')


def describe() -> dict[str, object]:
  """Versions, devices and date, for `metrics.json`."""
  description: dict[str, object] = {
    name: importlib.metadata.version(name) for name in _PACKAGES
  }
  device = jax.devices()[0]
  description.update(
    python=platform.python_version(),
    device=f'{device.platform}: {device.device_kind}',
    devices=jax.device_count(),
    processes=jax.process_count(),
    machine=f'{platform.system()} {platform.machine()}',
    date=datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
  )
  return description
