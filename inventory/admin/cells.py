"""How single values look on every page: times with their distance, states with word and shape, serials, names."""

import unicodedata
from datetime import UTC, datetime, timedelta

from django.utils.formats import number_format
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from inventory.devices.timeline import Outlook
from inventory.models import Certificate
from inventory.models.certificate import CertificateStatus

_TONES = {
    CertificateStatus.VALID: "good",
    CertificateStatus.EXPIRING: "attention",
    CertificateStatus.UNCONFIRMED: "attention",
    CertificateStatus.NOT_YET_VALID: "neutral",
    CertificateStatus.EXPIRED: "late",
    CertificateStatus.REVOKED: "stopped",
    CertificateStatus.ISSUER_REVOKED: "stopped",
    CertificateStatus.SUPERSEDED: "neutral",
}
_KEPT_AT_EACH_END = 8
# What is nearer than this is happening, as far as a page that took its time to arrive can tell.
_NOW = timedelta(seconds=2)
# Up to here a sentence names the minute, not only the day.
_NEAR = timedelta(days=2)
NOTHING: SafeString = mark_safe('<span class="quiet">–</span>')  # noqa: RUF001

# From here on a distance is told in years; the length of a lifetime never is.
_YEARS_FROM = timedelta(days=730)
_YEAR = timedelta(days=365.25)
_UNITS = (
    (timedelta(days=2), timedelta(days=1), "d"),
    (timedelta(hours=2), timedelta(hours=1), "h"),
    (timedelta(minutes=2), timedelta(minutes=1), "min"),
    (timedelta(0), timedelta(seconds=1), "s"),
)


def span(length: timedelta) -> str:
    """Return a length in its largest sensible unit, rounded down: `81 d`, `26 h`, `12 min`."""
    length = abs(length)
    unit, name = next((unit, name) for least, unit, name in _UNITS if length >= least)
    return f"{number_format(length // unit, force_grouping=True)} {name}"


def distance(moment: datetime, now: datetime) -> str:
    """Return how far a moment is: `in 81 d`, `3 h ago`, `now`, `2.9 y ago`.

    From two days on, days are those between the dates.
    """
    length = abs(moment - now)
    if length <= _NOW:
        return _("now")
    if length >= timedelta(days=2):
        length = abs(moment.astimezone(UTC).date() - now.astimezone(UTC).date())
    said = _years(length) if length >= _YEARS_FROM else span(length)
    return (_("in %(span)s") if moment >= now else _("%(span)s ago")) % {"span": said}


def _years(length: timedelta) -> str:
    tenths = round(10 * (length / _YEAR))
    return f"{number_format(tenths / 10, 1 if tenths % 10 else 0)} y"


def when(moment: datetime | None, now: datetime, *, to_the_minute: bool = False) -> SafeString:
    """Return a moment as an ISO date with its distance beside."""
    if moment is None:
        return NOTHING
    date = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M" if to_the_minute else "%Y-%m-%d")
    return format_html('{}, <span class="distance">{}</span>', _exactly(moment, date), distance(moment, now))


def ago(moment: datetime | None, now: datetime) -> SafeString:
    """Return how long ago a moment was, for a list that has no room for its date."""
    return NOTHING if moment is None else _exactly(moment, distance(moment, now))


def _exactly(moment: datetime, text: str) -> SafeString:
    """Return a text for a moment, which tells the second when it is pointed at."""
    moment = moment.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        moment.isoformat(timespec="seconds"),
        moment.strftime("%Y-%m-%d %H:%M:%S"),
        text,
    )


def sentence(outlook: Outlook, now: datetime) -> SafeString:
    """Return what happens next as one sentence: to the minute when that is near."""
    words = {key: name(word) for key, word in outlook.words.items()}
    if outlook.at is not None:
        words["when"] = when(outlook.at, now, to_the_minute=abs(outlook.at - now) < _NEAR)
    return mark_safe(str(escape(outlook.text)) % words)  # noqa: S308  (each part is escaped)


def visible(text: str) -> str:
    """Return text with control and direction characters spelled out, so that a name cannot pose as another."""
    return "".join(
        f"\\u{ord(c):04x}" if unicodedata.category(c) in {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"} else c for c in text
    )


def visible_lines(text: str) -> SafeString:
    """Return a text of several lines, as a form or JSON has them, each made `visible`."""
    lines = text.replace("\r\n", "\n").split("\n")
    return format_html_join(mark_safe("<br>"), "{}", ((visible(line),) for line in lines))


def name(text: object) -> SafeString:
    """Return a name given by people or devices, isolated from the direction of the text around it."""
    return format_html("<bdi>{}</bdi>", visible(str(text))) if text not in (None, "") else NOTHING


def code(value: str, *, whole: bool = False) -> SafeString:
    """Return a serial number or fingerprint in monospace, shortened in the middle, with a button that copies it."""
    if not value:
        return NOTHING
    return format_html(
        '<span class="code"><code title="{}">{}</code>'
        '<button type="button" class="copy" data-copy="{}">{}</button></span>',
        value,
        value if whole else shortened(value),
        value,
        _("copy"),
    )


def shortened(value: str) -> str:
    """Return a long serial number or fingerprint shortened in the middle."""
    if len(value) <= 2 * _KEPT_AT_EACH_END + 1:
        return value
    return f"{value[:_KEPT_AT_EACH_END]}…{value[-_KEPT_AT_EACH_END:]}"


def state(tone: str, word: object) -> SafeString:
    """Return a state: a shape and a hue by its tone, and always its word."""
    return format_html('<span class="state {}">{}</span>', tone, word)


def status(certificate: Certificate | None, now: datetime) -> SafeString:
    """Return what a certificate is at `now`."""
    if certificate is None:
        return state("neutral", _("no certificate"))
    found = certificate.status_at(now)
    return state(_TONES[found], found.label)


def count(value: int | None) -> str:
    """Return a number with thousands separators, or nothing for None."""
    return "" if value is None else number_format(value, force_grouping=True)


def link(url: str, text: object) -> SafeString:
    return format_html('<a href="{}">{}</a>', url, text)
