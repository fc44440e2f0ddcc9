"""`manage.py api_token`: the token on standard output and nowhere else, and an exit code a script can use."""

import json

import pytest
from django.core.management import CommandError, call_command

from certportal.management.commands import api_token
from certportal.models import ApiToken
from inventory.models import AuditAction, AuditEvent
from tests.certportal.api.conftest import client_with, user

pytestmark = pytest.mark.django_db


def test_the_token_alone_is_on_standard_output_and_opens_the_api(capsys):
    user("ops")
    call_command("api_token", "ops", "--name", "line 7", "--scope", "fleets")
    printed = capsys.readouterr()
    assert client_with(printed.out.strip()).get("/api/v1/fleets/").status_code == 200
    assert "shown this once" in printed.err
    assert AuditEvent.objects.get(action=AuditAction.TOKEN_CREATED).object_name == "ops: line 7"


def test_json_says_what_was_made(capsys):
    user("ops")
    arguments = ["--scope", "devices:write", "--scope", "certificates", "--days", "30", "--json"]
    call_command("api_token", "ops", "--name", "siem", *arguments)
    made = json.loads(capsys.readouterr().out)
    token = ApiToken.objects.get()
    assert made.pop("token").startswith("cpt_")
    assert made == {
        "user": "ops",
        "name": "siem",
        "scopes": ["certificates", "devices:write"],
        "expires_at": token.expiry.isoformat(),
    }


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nobody", "--name", "x"], 1, "no user 'nobody'"),
        (["ops", "--name", "taken"], 1, "already has a token named 'taken'"),
        (["ops", "--name", ""], 1, "cannot be named ''"),
        (["ops", "--name", "x", "--scope", "device"], 2, "'device' is not a scope"),
    ],
)
def test_a_refusal_says_why_and_makes_nothing(arguments, code, says, capsys):
    user("ops")
    call_command("api_token", "ops", "--name", "taken")
    with pytest.raises(CommandError, match=says) as refusal:
        call_command("api_token", *arguments)
    assert refusal.value.returncode == code
    assert ApiToken.objects.count() == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        ([], 2),
        (["ops"], 2),
        (["ops", "--name", "x", "--days", "0"], 2),
        (["ops", "--name", "x", "--days", "soon"], 2),
    ],
)
def test_wrong_use_is_exit_code_two(arguments, code, capsys):
    with pytest.raises(SystemExit) as ended:
        api_token.Command().run_from_argv(["manage.py", "api_token", *arguments])
    assert ended.value.code == code
    assert code or "Example: manage.py api_token" in capsys.readouterr().out
