"""What every page needs: its template, pictures inside it, its config."""

import base64
import pathlib
from collections.abc import Mapping
from typing import Any

import jinja2

from common_lib import class_table_file
from common_lib.class_table import CITYSCAPES, ClassTable
from fsnet_jax.report import palette


def template(name: str, *folders: pathlib.Path) -> jinja2.Template:
  """A template that escapes its values and refuses unknown ones.

  It knows the colours as `palette`.

  Args:
    name: of the file.
    folders: to look in before this one, which holds what pages share.
  """
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader([*folders, pathlib.Path(__file__).parent]),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  return environment.get_template(name, globals={'palette': palette})


def data_url(file: bytes, kind: str = 'png') -> str:
  """A picture's file as an address that holds it."""
  return f'data:image/{kind};base64,' + base64.b64encode(file).decode('ascii')


def data_urls(files: Mapping[str, bytes], kind: str = 'png') -> dict[str, str]:
  """Pictures' files by name, as addresses that hold them."""
  return {name: data_url(file, kind) for name, file in files.items()}


def fields(
  config: Mapping[str, Any], prefix: str = ''
) -> list[tuple[str, Any]]:
  """A nested config's fields, with dotted names."""
  found = []
  for key, value in config.items():
    if isinstance(value, Mapping):
      found += fields(value, f'{prefix}{key}.')
    else:
      found.append((prefix + key, value))
  return found


def class_table_of(metrics: Mapping[str, Any]) -> ClassTable:
  """The classes that a metrics.json is about, by the config in it."""
  data = metrics['config'].get('data')
  text = data.get('classes', '') if isinstance(data, Mapping) else ''
  return class_table_file.from_text(text) if text else CITYSCAPES


def class_colors(metrics: Mapping[str, Any]) -> dict[str, str]:
  """The colour of each class for CSS, by its name."""
  classes = class_table_of(metrics)
  return {
    name: palette.hexadecimal(color)
    for name, color in zip(classes.names, classes.colors, strict=True)
  }
