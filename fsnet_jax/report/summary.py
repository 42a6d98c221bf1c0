"""What the numbers of one data set say, in plain words.

Every word is computed from the 95 % intervals of paired differences: FSNet is
called ahead or behind only where the interval leaves 0 out, and level where it
holds it. Without intervals nothing is claimed.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from fsnet_jax.metrics.resampling_units import LEAST_IMAGES
from fsnet_jax.report import measures
from fsnet_jax.report.schema import DIFFERENCES, TO_BEST

# The measures that do not move with the base error rate decide.
_JUDGES = (measures.BY_KEY['auroc'], measures.BY_KEY['fpr95_error'])
_SUBJECT = 'fsnet'
# What FSNet is the mean of: no rivals of it.
_PARTS = ('fsnet_joint', 'fsnet_pixel', 'fsnet_conv')
# With more rivals than this, the words count them and name the best.
_NAMED_RIVALS = 3
_RELATIONS = {'ahead': 'ahead of', 'level': 'level with', 'behind': 'behind'}
# How FSNet stands where a rival less FSNet is so.
_STANDINGS: Mapping[str, Any] = {
  'better': 'behind',
  'worse': 'ahead',
  'level': 'level',
}

Verdict = Literal['ahead', 'behind', 'level', 'mixed', 'open']


class Summary(NamedTuple):
  """The plain words for one data set.

  Attributes:
    verdict: `ahead`, `behind` or `level` where FSNet is so against every
      other detector on AUROC and FPR95, `mixed` otherwise, `open` where there
      is nothing to compare or no interval.
    headline: the verdict in a sentence, and where FSNet stands against the
      best of the detectors that are no part of it in another.
    text: the numbers behind it, in up to five sentences.
  """

  verdict: Verdict
  headline: str
  text: str = ''


def summarize(dataset: Mapping[str, Any]) -> Summary:
  """Says how FSNet does on one data set against the other detectors.

  Args:
    dataset: one entry of `datasets` in `metrics.json`.

  Returns:
    The verdict and its words.
  """
  error_rate = dataset['segmentation']['base_error_rate']
  if error_rate is None:
    return Summary('open', 'No pixel of this data set is labelled.')
  if error_rate == 0:
    return Summary(
      'open',
      'The segmentation network makes no error here, so there is nothing to'
      ' detect.',
    )
  failure = dataset['failure']
  verdict, headline = _verdict(dataset)
  headline = ' '.join(filter(None, [headline, _against_best(failure)]))
  sentences = [
    _judged(failure),
    _margin(failure),
    _best_margin(failure),
    'The segmentation network labels'
    f' {measures.format_percent(error_rate)} of the pixels wrongly.',
    _caught(failure, error_rate),
  ]
  return Summary(verdict, headline, ' '.join(filter(None, sentences)))


def why_no_interval(dataset: Mapping[str, Any]) -> str:
  """Says why a data set's differences have no intervals, in a clause.

  Args:
    dataset: one entry of `datasets` in `metrics.json`, of several detectors.
  """
  if not any('difference_to_msp' in d for d in dataset['failure'].values()):
    return 'no intervals were made, so no difference is told from chance'
  images = dataset['images']
  if images < LEAST_IMAGES:
    plural = '' if images == 1 else 's'
    return (
      f'{images} image{plural} cannot tell a difference from chance: that'
      f' takes {LEAST_IMAGES} or more'
    )
  return 'too few of the images have errors to tell a difference from chance'


def units_drawn(dataset: Mapping[str, Any]) -> str:
  """What the intervals of a data set are drawn from: `48 images`, or ''."""
  for detector in dataset['failure'].values():
    for key in DIFFERENCES:
      for interval in (detector.get(key) or {}).values():
        if interval is not None:
          return f'{interval["units"]} {interval["unit"]}s'
  return ''


def certified(datasets: Mapping[str, Any]) -> str:
  """Says how far the pooled measures can be from those of single pixels.

  Args:
    datasets: of `metrics.json`.

  Returns:
    A sentence or two; nothing where the file does not know.
  """
  away: dict[str, float] = {}
  for dataset in datasets.values():
    for detector in dataset['failure'].values():
      for key, ends in (detector.get('pooled_bounds') or {}).items():
        value = detector['pooled'].get(key)
        if ends is not None and value is not None:
          reach = max(ends[1] - value, value - ends[0], 0.0)
          away[key] = max(away.get(key, 0.0), reach)
  if not away:
    return ''
  if not any(away.values()):
    return 'Pixels are ranked one by one, so these values are exact.'
  limits = ', '.join(
    f'{measure.title} {measures.format_value(away[measure.key], measure, 3)}'
    for measure in measures.FAILURE_MEASURES
    if measure.key in away
  )
  return (
    'Scores are ranked in narrow ranges where there are many pixels. What the'
    ' single pixels give is certain to lie no further than this from the'
    f' values shown: {limits}.'
  )


def caught_share(
  risk_at_coverage: Mapping[str, measures.Value], coverage: str
) -> float | None:
  """Returns the share of all errors among the pixels that are set aside.

  With error rate risk(c) among the kept share c, the kept pixels hold
  c risk(c) / risk(1) of all errors, and those set aside hold the rest.

  Args:
    risk_at_coverage: error rate of the kept pixels by kept share; needs
      "1.0".
    coverage: the kept share, one of the keys.

  Returns:
    A fraction, or None where there is no error or a risk is missing.
  """
  kept = risk_at_coverage.get(coverage)
  everything = risk_at_coverage.get('1.0')
  if kept is None or not everything:
    return None
  share = 1.0 - float(coverage) * float(kept) / float(everything)
  return min(1.0, max(0.0, share))


def _caught(failure: Mapping[str, Any], error_rate: measures.Number) -> str:
  """Says how many errors are caught by setting the least trusted aside.

  The share set aside is the smallest of the levels that could hold all the
  errors, so a perfect detector would catch them all.
  """
  subject = _subject(failure)
  levels: list[str] = sorted(failure[subject]['risk_at_coverage'], key=float)
  roomy = [level for level in levels if _aside(level) >= error_rate]
  if not roomy:
    return ''
  coverage = roomy[-1]
  caught = {
    name: caught_share(detector['risk_at_coverage'], coverage)
    for name, detector in failure.items()
  }
  if caught[subject] is None:
    return ''
  aside = measures.format_percent(_aside(coverage), 0)
  mine = measures.format_percent(caught.pop(subject))
  others = [
    f'{_title(name, failure)} {measures.format_percent(share)}'
    for name, share in _best(caught, lower_is_better=False)
  ]
  others.append(f'a blind choice {aside}')
  return (
    f'Setting aside the {aside} of the pixels that'
    f' {_title(subject, failure)} trusts least catches'
    f' {mine} of these errors ({", ".join(others)}).'
  )


def _title(name: str, failure: Mapping[str, Any]) -> str:
  """What the words call a detector, which need not be among those here."""
  return measures.detector_title(name, failure.get(name))


def _aside(coverage: str) -> float:
  """Returns the share set aside, without the noise of 1 - 0.9."""
  return round(1.0 - float(coverage), 6)


def _subject(failure: Mapping[str, Any]) -> str:
  """Returns the detector that the words are about."""
  return _SUBJECT if _SUBJECT in failure else next(iter(failure))


def _judged(failure: Mapping[str, Any]) -> str:
  """States both judges of the subject, its rivals' in brackets."""
  subject = _subject(failure)
  parts = []
  for judge in _JUDGES:
    shown = {name: _shown(failure[name], judge) for name in failure}
    mine = shown.pop(subject)
    if mine is None:
      continue
    rivals = [
      f'{_title(name, failure)} {value:.1f}'
      for name, value in _best(shown, judge.lower_is_better)
    ]
    listed = f' ({", ".join(rivals)})' if rivals else ''
    parts.append(f'{judge.title} {mine:.1f}{listed}')
  if not parts:
    return ''
  return f'{_title(subject, failure)}: {", ".join(parts)}.'


def _margin(failure: Mapping[str, Any]) -> str:
  """States the subject's difference to MSP with its intervals."""
  subject = _subject(failure)
  differences = failure[subject].get('difference_to_msp') or {}
  intervals = [
    (judge, differences[judge.key])
    for judge in _JUDGES
    if differences.get(judge.key)
  ]
  if not intervals:
    return ''
  listed = ', '.join(
    f'{judge.title} {measures.format_interval(interval, judge)}'
    for judge, interval in intervals
  )
  drawn = intervals[0][1]
  return (
    f'{_title(subject, failure)} less'
    f' {_title("msp", failure)}: {listed} (95% intervals over'
    f' {drawn["units"]} {drawn["unit"]}s).'
  )


def _to_best(
  failure: Mapping[str, Any],
) -> list[tuple[measures.Measure, Mapping[str, Any]]]:
  """FSNet's differences to the best baseline, where they have intervals."""
  found = failure.get(_SUBJECT, {}).get(TO_BEST) or {}
  return [
    (measures.BY_KEY[key], found[key])
    for key in measures.DIFFERENCES_SHOWN
    if found.get(key)
  ]


def _against_best(failure: Mapping[str, Any]) -> str:
  """Says where FSNet stands against the best baseline of each measure."""
  # FSNet's own differences: better is ahead.
  standing = {'better': 'ahead', 'worse': 'behind', 'level': 'level'}
  found: dict[str, dict[str, list[str]]] = {}
  for measure, entry in _to_best(failure):
    relation = _RELATIONS[standing[measures.outcome(entry, measure)]]
    of_name = found.setdefault(relation, {})
    of_name.setdefault(entry['baseline'], []).append(measure.title)
  if not found:
    return ''
  words = '; '.join(
    f'{relation} the best baseline '
    + ', '.join(
      f'({_title(name, failure)}) on {_joined(titles)}'
      for name, titles in of_name.items()
    )
    for relation, of_name in found.items()
  )
  return f'It is {words}.'


def _best_margin(failure: Mapping[str, Any]) -> str:
  """States FSNet's differences to the best baseline with their intervals."""
  listed = ', '.join(
    f'{measure.title} {measures.format_interval(entry, measure)}'
    f' ({_title(entry["baseline"], failure)})'
    for measure, entry in _to_best(failure)
  )
  if not listed:
    return ''
  return f'{_title(_SUBJECT, failure)} less the best baseline: {listed}.'


def _best(
  values: Mapping[str, measures.Value], lower_is_better: bool
) -> list[tuple[str, measures.Number]]:
  """Returns the rivals to name: all of a few, or the best of many."""
  known = [(name, value) for name, value in values.items() if value is not None]
  if len(known) <= _NAMED_RIVALS:
    return known
  known.sort(key=lambda item: item[1], reverse=not lower_is_better)
  return known[:_NAMED_RIVALS]


def _shown(
  detector: Mapping[str, Any], measure: measures.Measure
) -> float | None:
  """Returns a pooled measure as the words show it."""
  value = detector['pooled'][measure.key]
  return None if value is None else round(float(value) * measure.scale, 1)


def _verdict(dataset: Mapping[str, Any]) -> tuple[Verdict, str]:
  """Says where FSNet stands, in one word and in one sentence."""
  failure = dataset['failure']
  if _SUBJECT not in failure:
    return 'open', 'FSNet is not among the detectors of this run.'
  clauses: dict[tuple[tuple[str, ...], ...], list[str]] = {}
  outcomes: set[Verdict] = set()
  for judge in _JUDGES:
    ranks = _ranks(failure, judge)
    outcomes |= set(ranks.values())
    groups = tuple(
      tuple(name for name in ranks if ranks[name] == outcome)
      for outcome in _RELATIONS
    )
    if ranks:
      # Measures on which the same holds share a clause.
      clauses.setdefault(groups, []).append(judge.title)
  if not clauses:
    return 'open', 'There is nothing to compare FSNet with.'
  if outcomes == {'open'}:
    words = why_no_interval(dataset)
    return 'open', f'{words[0].upper()}{words[1:]}.'
  words = '; '.join(
    f'{_clause(groups, failure)} on {" and ".join(titles)}'
    for groups, titles in clauses.items()
    if any(groups)
  )
  verdict = outcomes.pop() if len(outcomes) == 1 else 'mixed'
  return verdict, f'FSNet is {words}.'


def _ranks(
  failure: Mapping[str, Any], judge: measures.Measure
) -> dict[str, Verdict]:
  """Compares FSNet with each rival on one measure, where both have it.

  `open` is who has no interval.
  """
  ranks: dict[str, Verdict] = {}
  for name, detector in failure.items():
    values = [one['pooled'][judge.key] for one in (failure[_SUBJECT], detector)]
    if name in (_SUBJECT, *_PARTS) or None in values:
      continue
    interval = (detector.get('difference_to_fsnet') or {}).get(judge.key)
    ranks[name] = _STANDINGS.get(measures.outcome(interval, judge), 'open')
  return ranks


def _clause(groups: Sequence[Sequence[str]], failure: Mapping[str, Any]) -> str:
  """Puts the rivals, by relation, into words."""
  return ' and '.join(
    f'{relation} {_listed(names, failure)}'
    for relation, names in zip(_RELATIONS.values(), groups)
    if names
  )


def _listed(names: Sequence[str], failure: Mapping[str, Any]) -> str:
  """Returns names joined as in a sentence, or the number of many."""
  titles = [_title(name, failure) for name in names]
  if len(titles) > _NAMED_RIVALS:
    return f'{len(titles)} other detectors'
  return _joined(titles)


def _joined(titles: Sequence[str]) -> str:
  """Returns titles as a sentence lists them."""
  if len(titles) == 1:
    return titles[0]
  return ', '.join(titles[:-1]) + ' and ' + titles[-1]
