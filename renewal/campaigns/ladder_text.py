"""Ladders as people write and read them: a line for each connectivity class. Pure.

    daily: MQTT 2 × 3 d, SMS 3 × 3 d valid 18 h

asks twice over MQTT, waiting three days each time, then three times by SMS, each kept by the operator for 18 hours and
followed by the next when it ends. What is not said to be valid otherwise is valid for as long as the wait.
"""

import re
from datetime import timedelta

from inventory.formats import spans
from inventory.models import Connectivity
from renewal.campaigns.ladder import Ladder, LadderError, Rung
from renewal.models import Channel

_RUNG = re.compile(
    r"(?P<channel>[A-Za-z]+)\s+(?P<attempts>\d{1,3})\s*[×x*]\s*(?P<patience>.+?)(?:\s+valid\s+(?P<validity>.+))?"
)
_CLASSES = {str(connectivity.label).lower(): connectivity for connectivity in Connectivity}
_CHANNELS = {channel.value: channel for channel in Channel}


def written(ladder: Ladder) -> str:
    """Return the lines of a ladder, in the order of the classes."""
    return "\n".join(
        f"{connectivity.label}: {', '.join(map(_written, ladder.of(connectivity)))}"
        for connectivity in Connectivity
        if ladder.of(connectivity)
    )


def _written(rung: Rung) -> str:
    text = f"{rung.channel.label} {rung.attempts} × {spans.written(rung.patience)}"
    return text if rung.validity == rung.patience else f"{text} valid {spans.written(rung.validity)}"


def read(text: str) -> Ladder:
    """Read what `written` writes. Raises LadderError, which names the line, the fault and what is right."""
    rungs: dict[Connectivity, tuple[Rung, ...]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, colon, listed = line.partition(":")
        connectivity = _CLASSES.get(" ".join(name.lower().replace("_", " ").split()))
        if not colon or connectivity is None:
            raise LadderError(f"“{line}”: begin with one of {', '.join(_CLASSES)}, and a colon.")
        if connectivity in rungs:
            raise LadderError(f"“{line}”: there is a line for {connectivity.label} already.")
        rungs[connectivity] = tuple(_rung(each.strip(), line) for each in listed.split(",") if each.strip())
    # Through the one place that knows what a ladder may be.
    return Ladder.from_json(Ladder(rungs).to_json())


def _rung(text: str, line: str) -> Rung:
    found = _RUNG.fullmatch(text)
    if found is None:
        raise LadderError(f"“{line}”: write a step as “MQTT 2 × 3 d” or “SMS 3 × 3 d valid 18 h”.")
    channel = _CHANNELS.get(found["channel"].lower())
    if channel is None:
        raise LadderError(f"“{line}”: “{found['channel']}” is no channel; there are {', '.join(_CHANNELS)}.")
    patience = _span(found["patience"], line)
    validity = _span(found["validity"], line) if found["validity"] else patience
    return Rung(channel, patience, int(found["attempts"]), validity)


def _span(text: str, line: str) -> timedelta:
    span = spans.read(text)
    if span is None:
        raise LadderError(f"“{line}”: “{text}” is no span of time; write 3 d, 18 h or 1 d 12 h.")
    return span
