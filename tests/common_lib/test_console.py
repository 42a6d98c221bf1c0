from common_lib import console


def test_results_lose_control_characters_and_nothing_else(capsys):
  table = 'a\tb\n' * 30_000
  console.show(table)
  assert capsys.readouterr().out == table + '\n'
  console.show('\x1b[31mred\x07\n')
  console.say('caf\u00e9\x1b]0;title\x07')
  out, err = capsys.readouterr()
  assert out == '\ufffd[31mred\ufffd\n\n'
  assert err == 'caf\u00e9\ufffd]0;title\ufffd\n'
