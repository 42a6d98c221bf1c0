"""Names that a pickle asks for only in order to do harm.

Nothing that a pickle names is ever called here, so safety does not rest on
this list: it tells a file that somebody made to attack its reader, which is
refused, from one that carries a `Namespace` or a NumPy number beside its
tensors, which are skipped.
"""

# With all that is below them.
_PACKAGES = frozenset((
  'os', 'posix', 'nt', 'ntpath', 'posixpath', 'subprocess', 'sys', 'importlib',
  'imp', 'shutil', 'socket', 'runpy', 'pty', 'ctypes', 'cffi', 'operator',
  'pickle', '_pickle', 'cPickle', 'cloudpickle', 'marshal', 'commands',
  'popen2', 'urllib', 'urllib2', 'http', 'httplib', 'ftplib', 'smtplib',
  'webbrowser', 'multiprocessing', 'threading', '_thread', 'signal', 'pip',
  'setuptools', 'distutils', 'ensurepip', 'gc', 'tempfile', 'zipimport',
  'pkgutil', 'asyncio', 'concurrent',
))  # fmt: skip
# Alone: people's own folders are called so too.
_MODULES = frozenset((
  'code', 'codeop', 'timeit', 'trace', 'pdb', 'bdb', 'cProfile', 'profile',
  'doctest', 'inspect', 'linecache', 'pydoc', 'platform', 'fileinput', 'site',
  'venv', 'antigravity', 'dill', 'joblib', 'requests',
))  # fmt: skip
# What of Python's own is called by name; the rest of it makes data.
_BUILTINS = frozenset((
  'eval', 'exec', 'execfile', 'compile', 'open', 'file', 'input', 'raw_input',
  '__import__', 'globals', 'locals', 'vars', 'breakpoint', 'exit', 'quit',
  'help', 'memoryview', 'setattr', 'delattr', 'apply', 'reload', 'map',
  'filter',
))  # fmt: skip
_BUILTIN_MODULES = ('builtins', '__builtin__', '__builtins__')
# Of the attributes that may follow any module's name.
_ATTRIBUTES = frozenset((
  'os', 'sys', 'subprocess', 'system', 'popen', 'Popen', 'spawn',
  'exec_command', 'runstring', 'check_output', 'check_call', 'getoutput',
  'eval', 'exec', '__import__', '__globals__', '__builtins__', '__subclasses__',
  '__reduce__', '__reduce_ex__', '__getattribute__', '__class__', '__dict__',
  '__code__', '__call__', '__init__', 'load_module', 'import_module',
))  # fmt: skip
_NAMES = frozenset((
  'torch.load', 'torch.hub.load', 'torch.package.PackageImporter',
  'torch.jit.load', 'torch.serialization.load', 'numpy.load', 'numpy.loadtxt',
  'numpy.fromfile', 'numpy.memmap', 'io.open', '_io.open', '_io.FileIO',
  'io.FileIO', 'pathlib.Path.unlink',
))  # fmt: skip


def is_hostile(name: str) -> bool:
  """Whether a pickle would do harm by calling something of this name.

  Args:
    name: module and qualified name with a space between, as in
      'os system' or 'collections OrderedDict'.
  """
  module, _, attribute = name.partition(' ')
  attributes = attribute.split('.')
  if module in _BUILTIN_MODULES and attributes[0] in _BUILTINS:
    return True
  return (
    module in _MODULES
    or module.split('.')[0] in _PACKAGES
    or not _ATTRIBUTES.isdisjoint(attributes)
    or f'{module}.{attribute}' in _NAMES
  )
