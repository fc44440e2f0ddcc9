"""Lists of the words that a column may hold, as functions.

PostgreSQL keeps a CHECK as text, and reads it anew for each statement that writes the table: with the forty actions of
the audit log in it, that took a fifth of the time in which a certificate and its event are stored. What a function
says, each session reads once.
"""

from collections.abc import Sequence

_ACTIONS = """
authority:certificate:established
certificate:enrolment:issued certificate:renewal:issued certificate:infrastructure:issued
certificate:enrolment:refused certificate:renewal:refused certificate:use:confirmed
certificate:use:odd certificate:revocation:done certificate:revocation:raised
device:case:opened device:case:closed
approval:proposal:made approval:proposal:approved approval:proposal:rejected
approval:proposal:withdrawn approval:proposal:expired
crl:publication:done
enrolment:secret:created
device:registration:done
inventory:import:started inventory:import:stopped inventory:import:finished
campaign:planning:done campaign:run:started campaign:run:paused campaign:run:stopped campaign:run:finished campaign:wave:opened campaign:targets:joined
field:order:opened field:order:assigned field:order:closed
user:login:succeeded user:login:failed user:logout:done user:password:changed user:access:changed
role:permissions:changed
user:token:created user:token:revoked
gateway:message:tried
alert:acknowledgement:done alert:mute:done
list:export:started list:export:ended
queue:jobs:changed
configuration:change:done
""".split()
_STATES = "issued confirmed superseded revoked".split()
_REASONS = """
unspecified keyCompromise cACompromise affiliationChanged superseded cessationOfOperation privilegeWithdrawn
""".split()


def known(function: str, words: Sequence[str]) -> str:
    """Return what makes or replaces `function`, which tells whether its argument is one of `words`."""
    listed = ", ".join(f"'{word}'" for word in words)
    return f"""
CREATE OR REPLACE FUNCTION {function}(word varchar) RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN word IN ({listed});
END
$$;
"""


_VOCABULARIES = {
    "inventory_audit_action_known": _ACTIONS,
    "inventory_certificate_state_known": _STATES,
    "inventory_revocation_reason_known": _REASONS,
}

MAKE = "".join(known(function, words) for function, words in _VOCABULARIES.items())
FORGET = "".join(f"DROP FUNCTION {function}(varchar);" for function in _VOCABULARIES)
