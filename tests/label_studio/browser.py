"""A person at a browser: headless Chromium, driven over its own protocol.

A program of the server's environment, which has `websocket-client`:

    python browser.py STEPS.json

STEPS.json holds `url`, `email`, `password`, `chromium`, `profile` and `steps`,
a list of [name, arguments...]; the names are the methods of `Person`.
"""

import base64
import json
import pathlib
import subprocess
import sys
import time
import urllib.request

import websocket

_PATIENCE_SECS = 180
_FLAGS = (
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-extensions',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  '--no-default-browser-check',
  '--remote-debugging-port=0',
  '--remote-allow-origins=*',
  '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1',
)


class Person:
  """Looks at pages, and moves the mouse over them."""

  def __init__(self, plan):
    self._url, self._plan = plan['url'], plan
    size = ','.join(map(str, plan.get('window', (1600, 1000))))
    profile = pathlib.Path(plan['profile'])
    self._process = subprocess.Popen(
      [
        plan['chromium'],
        *_FLAGS,
        f'--window-size={size}',
        f'--user-data-dir={profile}',
        'about:blank',
      ],
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
    )
    active = profile / 'DevToolsActivePort'
    self._until(lambda: active.exists() and active.read_text().strip())
    port = active.read_text().split()[0]
    with urllib.request.urlopen(f'http://127.0.0.1:{port}/json') as reply:
      pages = [p for p in json.load(reply) if p['type'] == 'page']
    self._socket = websocket.create_connection(
      pages[0]['webSocketDebuggerUrl'], timeout=_PATIENCE_SECS
    )
    self._number = 0

  def close(self):
    self._socket.close()
    self._process.terminate()
    self._process.wait(timeout=30)

  def _until(self, condition):
    until = time.monotonic() + _PATIENCE_SECS
    while not (found := condition()):
      if time.monotonic() > until:
        raise TimeoutError('the page never came to what was waited for')
      time.sleep(0.2)
    return found

  def _do(self, method, **parameters):
    self._number += 1
    message = {'id': self._number, 'method': method, 'params': parameters}
    self._socket.send(json.dumps(message))
    while (reply := json.loads(self._socket.recv())).get('id') != self._number:
      pass
    if 'error' in reply:
      raise RuntimeError(f'{method}: {reply["error"]}')
    return reply['result']

  def _value(self, script):
    """What a script evaluates to; None while the page cannot say."""
    reply = self._do('Runtime.evaluate', expression=script, returnByValue=True)
    return reply['result'].get('value')

  def _box(self, element):
    """x, y, width, height of a script's element, once it is there."""
    script = (
      f'(() => {{ const e = {element}; if (!e) return null;'
      "e.scrollIntoView({block: 'nearest'});"
      'const r = e.getBoundingClientRect();'
      'return r.width ? [r.x, r.y, r.width, r.height] : null; })()'
    )
    return self._until(lambda: self._value(script))

  def _mouse(self, kind, x, y, **more):
    fields = {'button': 'left', 'buttons': 1, 'clickCount': 1} | more
    self._do('Input.dispatchMouseEvent', type=kind, x=x, y=y, **fields)

  def _click(self, element):
    x, y, width, height = self._box(element)
    x, y = x + width / 2, y + height / 2
    self._mouse('mouseMoved', x, y, button='none', buttons=0)
    self._mouse('mousePressed', x, y)
    self._mouse('mouseReleased', x, y, buttons=0)
    time.sleep(0.5)

  def login(self):
    self._do('Page.navigate', url=self._url + '/user/login/')
    self._box('document.querySelector("input[name=email]")')
    for name in ('email', 'password'):
      self._value(
        f'document.querySelector("input[name={name}]").value ='
        f'{json.dumps(self._plan[name])}'
      )
    self._value('document.querySelector("button[type=submit]").click()')
    self._until(
      lambda: '/login' not in (self._value('location.href') or '/login')
    )

  def open(self, path):
    """Goes to a page of the server."""
    self._do('Page.navigate', url=self._url + path)

  def wait_for_task(self):
    """Until the image and its regions are there."""
    self._box('document.querySelector(".konvajs-content")')
    self._box('document.querySelector(".lsf-outliner-item")')
    time.sleep(2)

  def canvas(self):
    """Prints where the image is: x, y, width, height."""
    box = self._box('document.querySelector(".konvajs-content")')
    print(json.dumps({'canvas': box}))

  def see(self, text):
    """Until the page shows a text."""
    script = f'document.body.innerText.includes({json.dumps(text)})'
    self._until(lambda: self._value(script))

  def click_text(self, selector, text):
    """Clicks the first element of a selector that begins with a text."""
    self._click(
      f'[...document.querySelectorAll({json.dumps(selector)})].find('
      f'e => e.innerText.trim().startsWith({json.dumps(text)}))'
    )

  def choose_label(self, name):
    self.click_text('.lsf-label', name)

  def drag(self, points):
    """Draws with the mouse; points are shares of the image's size."""
    x, y, width, height = self._box(
      'document.querySelector(".konvajs-content")'
    )
    path = [(x + u * width, y + v * height) for u, v in points]
    self._mouse('mouseMoved', *path[0], button='none', buttons=0)
    self._mouse('mousePressed', *path[0])
    for (x0, y0), (x1, y1) in zip(path, path[1:], strict=False):
      for part in range(1, 9):
        share = part / 8
        place = (x0 + share * (x1 - x0), y0 + share * (y1 - y0))
        self._mouse('mouseMoved', *place)
        time.sleep(0.02)
    self._mouse('mouseReleased', *path[-1], buttons=0)
    time.sleep(1)

  def submit(self):
    self.click_text('button', 'Submit')
    self.see('Update')

  def picture(self, file):
    """Writes what is on the screen."""
    reply = self._do('Page.captureScreenshot', format='png')
    pathlib.Path(file).write_bytes(base64.b64decode(reply['data']))


def main():
  plan = json.loads(pathlib.Path(sys.argv[1]).read_text())
  person = Person(plan)
  try:
    for name, *arguments in plan['steps']:
      getattr(person, name)(*arguments)
  except BaseException:
    person.picture(pathlib.Path(plan['profile']).parent / 'failed.png')
    raise
  finally:
    person.close()


if __name__ == '__main__':
  main()
