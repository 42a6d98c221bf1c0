"""The address of a Label Studio server, as a user gives it."""

import functools
import ipaddress
import re
import urllib.parse

from common_lib.console import say
from common_lib.errors import UserError

URL = 'LABEL_STUDIO_URL'

_HOST = re.compile(r'[a-z0-9._-]{1,253}')
_PATH = re.compile(r'(/[\w.~!$&\'()*+,;=:@%-]*)*', re.ASCII)
# The value is not repeated: it may hold a password.
_HELP = (
  f'{URL} must be the plain address of the server, such as '
  'http://127.0.0.1:8080, without user, password or query.'
)


def checked(url: str) -> str:
  """The address without a slash at its end, host name in ASCII.

  Raises:
    UserError: it is none, or more than the address of a server.
  """
  url = url.strip().rstrip('/')
  parts = urllib.parse.SplitResult('', '', '', '', '')
  try:
    parts = urllib.parse.urlsplit(url)
    port, host = parts.port, _host(parts.hostname or '')
  except ValueError:  # Labels too long or empty, brackets, no port number.
    port, host = 0, ''
  foreign = set('?#\\@') & set(url)
  known = host and port != 0 and parts.scheme in ('http', 'https')
  if not known or foreign or not url.isprintable():
    raise UserError(_HELP)
  if not _PATH.fullmatch(parts.path):
    raise UserError(_HELP)
  authority = host if port is None else f'{host}:{port}'
  return f'{parts.scheme}://{authority}{parts.path}'


def _host(name: str) -> str:
  """A host name as it is looked up; '' if it is none."""
  if ':' in name:
    address, _, zone = name.partition('%')
    ipaddress.IPv6Address(address)
    return f'[{name}]' if not zone or zone.isalnum() else ''
  ascii_name = name.encode('idna').decode('ascii').lower()
  return ascii_name if _HOST.fullmatch(ascii_name) else ''


def is_local(url: str) -> bool:
  """Whether nothing that is sent there leaves this machine."""
  host = urllib.parse.urlsplit(url).hostname or ''
  try:
    address = ipaddress.ip_address(host)
  except ValueError:
    return host == 'localhost' or host.endswith('.localhost')
  return address.is_loopback or address.is_unspecified


@functools.cache
def warn_if_open(url: str) -> None:
  """Warns once if others on the way to a server can read the token."""
  if url.startswith('http://') and not is_local(url):
    say(
      f'warning: {URL} is {url}: without TLS everybody on the way can read the '
      'access token and the images; use https, or a tunnel to localhost'
    )
