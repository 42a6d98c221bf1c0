import re

import pytest
from PIL import ImageColor

from fsnet_jax.report import palette
from fsnet_jax.report.pages import templates
from tests.paths import ROOT

PAGES = sorted(
  path
  for package in ('fsnet_jax', 'segxal_jax')
  for path in (ROOT / package).rglob('*')
  if path.suffix in ('.html', '.css')
)
CODE = sorted(
  path
  for package in ('fsnet_jax', 'segxal_jax')
  for path in (ROOT / package).rglob('*.py')
  if path.name != 'palette.py'
)
SHELL = ('<!DOCTYPE', '<html', '<head', '<body', '<style')


def _luminance(color):
  """Relative luminance of WCAG 2."""
  parts = [part / 255 for part in ImageColor.getrgb(color)]
  linear = [
    part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
    for part in parts
  ]
  return sum(w * part for w, part in zip((0.2126, 0.7152, 0.0722), linear))


def _contrast(first, second):
  low, high = sorted((_luminance(first), _luminance(second)))
  return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize('colors', [palette.LIGHT, palette.DARK])
def test_writing_is_legible(colors):
  pairs = [
    (colors.ink, colors.page),
    (colors.ink, colors.sheet),
    (colors.ink, colors.soft),
    (colors.faint, colors.page),
    (colors.faint, colors.sheet),
    (colors.accent, colors.sheet),
    (colors.good, colors.good_soft),
    (colors.bad, colors.bad_soft),
    (colors.mixed, colors.mixed_soft),
  ]
  assert min(_contrast(*pair) for pair in pairs) >= 4.5


def test_contrast_is_that_of_the_standard():
  assert _contrast('#ffffff', '#000000') == pytest.approx(21)
  assert _contrast('#777777', '#ffffff') == pytest.approx(4.48, abs=0.01)


def test_series_differ_and_stand_out_from_white():
  assert len(set(palette.SERIES)) == len(palette.SERIES)
  assert min(_contrast(c, palette.LIGHT.picture) for c in palette.SERIES) > 2


@pytest.mark.parametrize('color', ['#1f2733', '#00ffff', '#000000'])
def test_colors_are_turned_into_each_other(color):
  assert palette.rgb(color) == ImageColor.getrgb(color)
  assert palette.hexadecimal(palette.rgb(color)) == color


def test_a_page_defines_what_it_uses():
  environment = templates.template('base.html').environment
  style = environment.from_string(
    '{% extends "base.html" %}{% block title %}{% endblock %}'
    '{% block kicker %}{% endblock %}{% block heading %}{% endblock %}'
    '{% block main %}{% endblock %}',
    globals={'palette': palette},
  ).render(facts={}, command=None)
  light, _, dark = style.partition('prefers-color-scheme: dark')
  used = set(re.findall(r'var\((--[\w-]+)\)', style))
  assert used
  for part in (light, dark):
    assert used <= set(re.findall(r'^(--[\w-]+): #[0-9a-f]{6};', part, re.M))


def test_colors_are_named_in_the_palette_alone():
  # `background: #fff`, '#0072b2', (214, 40, 40) but not an anchor's '#config'.
  digits = r'#(?:[0-9a-fA-F]{6}|[0-9a-fA-F]{3})\b'
  found = {
    f'{path.relative_to(ROOT)}: {match}'
    for path in PAGES
    for match in re.findall(rf':[^;"]*?{digits}', path.read_text())
  } | {
    f'{path.relative_to(ROOT)}: {match}'
    for path in CODE
    for match in re.findall(
      rf"'{digits}'|(?<!range)\(\d{{2,3}}, \d{{1,3}}, \d{{1,3}}\)",
      path.read_text(),
    )
    if 'models' not in path.parts
  }
  assert found == set()


def test_one_page_has_the_shell_of_all():
  with_shell = {
    path.name
    for path in PAGES
    if path.suffix == '.html' and any(tag in path.read_text() for tag in SHELL)
  }
  assert with_shell == {'base.html'}
  # What a page adds to it is put behind it.
  styles = {path.name for path in PAGES if path.suffix == '.css'}
  assert styles == {'base.css', 'gallery.css'}
