"""Passwords are hashed beside the loop of a plane, a few at a time. In a process with greenlets, as planes are."""

import os
import subprocess
import sys

_PRELUDE = """
from gevent import monkey; monkey.patch_all()
import django; django.setup()
import gevent
from django.contrib.auth.hashers import check_password, make_password
from certportal import hashing
"""


def in_greenlets(script: str) -> str:
    """Run `script` in a process of its own, where the standard library is gevent's; return what it prints."""
    command = [sys.executable, "-c", _PRELUDE + script]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "certportal.settings"}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=120).stdout


def test_others_are_served_while_a_password_is_hashed():
    said = in_greenlets(
        "hashing_ = gevent.spawn(make_password, 'a long enough password')\n"
        "gevent.sleep(0)\n"
        "print('served' if not hashing_.ready() else 'stood still')\n"
        "print(check_password('a long enough password', hashing_.get()))\n"
    )
    assert said.split() == ["served", "True"]


def test_no_more_are_hashed_at_once_than_is_allowed_and_those_who_wait_are_counted():
    said = in_greenlets(
        "import time\n"
        "sleep = monkey.get_original('time', 'sleep')\n"
        "running, most = [], []\n"
        "def work():\n"
        "    running.append(1); most.append(len(running)); sleep(0.01); running.pop()\n"
        "all_ = [gevent.spawn(hashing._threads.run, work) for _ in range(25)]\n"
        "gevent.sleep(0)\n"
        "print(hashing.is_busy())\n"
        "gevent.joinall(all_, raise_error=True)\n"
        "print(max(most) <= hashing.AT_ONCE, len(most), hashing.is_busy())\n"
    )
    assert said.split() == ["True", "True", "25", "False"]
