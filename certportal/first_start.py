"""The first contents of a new portal. Each step looks first, so a start that was cut off goes on where it stopped."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from certportal import credentials, device_certificate, roles
from certportal.models import User
from certportal.secret_files import generated_secret
from inventory.alerts import policies
from inventory.audit.record import SYSTEM
from inventory.issuing.authorities import AuthorityPlan
from inventory.models import Authority, Fleet
from renewal.jobs import renew_registration_authorities
from renewal.simulation import demo_fleet
from revocation.authorities import establish
from revocation.jobs import renew_ocsp_signers
from revocation.publishing import publish
from revocation.scopes import scopes

_TYPED_BY_HAND = 12
_YEAR = timedelta(days=365)
# The demo fleet was made over the past years: its authorities must be older.
_DEMO_AGE = 4 * _YEAR
_ROOT = AuthorityPlan("root", "certportal Root CA", "certportal", validity=25 * _YEAR, path_length=1)
_ISSUING = AuthorityPlan("mfg-1", "certportal Manufacturing CA 1", "certportal", validity=12 * _YEAR, path_length=0)


def prepare(now: datetime, say: Callable[[str], None]) -> None:
    """Make what a portal must have before its first page is shown; whatever exists already stays as it is."""
    _first_login(now, say)
    if made := roles.make_missing():
        say(f"Making the roles {', '.join(made)} ...")
    issuing = _authorities(now - _DEMO_AGE if settings.DEMO_DEVICES else now, now, say)
    device_certificate.ensure(now)
    policies.make_defaults()
    if settings.DEMO_DEVICES and not Fleet.objects.filter(slug=demo_fleet.SLUG).exists():
        say(f"Making a demo fleet of {settings.DEMO_DEVICES:,} devices with real certificates ...")
        demo_fleet.plant(settings.DEMO_DEVICES, authority=issuing, home=settings.HOME, now=now)
    renew_registration_authorities()
    _publish(now, say)


def _first_login(now: datetime, say: Callable[[str], None]) -> None:
    if User.objects.filter(username="admin").exists():
        return
    password = settings.ADMIN_PASSWORD or generated_secret(settings.HOME / "admin-password", octets=_TYPED_BY_HAND)
    with transaction.atomic():
        admin = User.objects.create_superuser("admin", "", password)
        credentials.record_password(admin, now=now, actor=SYSTEM)
        credentials.record_rights(admin, None, now=now, actor=SYSTEM)
    if not settings.ADMIN_PASSWORD:
        say(f"First login: user admin, password {password}")
        say(f"It is kept in {settings.HOME / 'admin-password'}.")


def _authorities(made_at: datetime, now: datetime, say: Callable[[str], None]) -> Authority:
    root = Authority.objects.filter(slug=_ROOT.slug).first()
    if root is None:
        say("Making a root authority and an issuing authority (P-256, keys encrypted at rest) ...")
        root = establish(_ROOT, parent=None, made_at=made_at, now=now, actor=SYSTEM)
    issuing = Authority.objects.select_related("certificate").filter(slug=_ISSUING.slug).first()
    return issuing or establish(_ISSUING, parent=root, made_at=made_at, now=now, actor=SYSTEM)


def _publish(now: datetime, say: Callable[[str], None]) -> None:
    """Publish each CRL that was never published: verifiers refuse every device without one."""
    renew_ocsp_signers()
    for authority in Authority.objects.own().select_related("certificate").exclude(certificate=None):
        missing = [scope for scope in scopes(authority) if not authority.crls.filter(shard=scope.shard).exists()]
        if missing:
            say(f"Publishing the first CRLs of {authority.slug} ...")
        for scope in missing:
            publish(authority, scope.shard, now)
