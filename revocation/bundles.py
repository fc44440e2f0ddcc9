"""Trust bundles: what a verifier of a fleet's certificates, or of one authority's, has to know."""

from datetime import datetime

from inventory.issuing.authorities import chain
from inventory.models import Authority, Certificate, Fleet


def bundle(name: str, now: datetime) -> list[Certificate] | None:
    """Return the certificates of the bundle called `name`: an authority's chain up to its root, or a fleet's anchors.

    None when neither an authority nor a fleet has this name; an authority goes first.
    """
    authority = (
        Authority.objects.own().select_related("certificate").filter(slug=name, certificate__isnull=False).first()
    )
    if authority:
        return chain(authority)
    fleet = Fleet.objects.select_related("authority__certificate").filter(slug=name).first()
    return _of_fleet(fleet, now) if fleet else None


def _of_fleet(fleet: Fleet, now: datetime) -> list[Certificate]:
    """Return the fleet's root, and every authority below it whose certificates can still be valid, older ones too."""
    root = chain(fleet.authority)[-1]
    established = Authority.objects.own().filter(certificate__isnull=False).exclude(pk__in=Authority.objects.revoked())
    live = {root.authority_id: root}
    for authority in established.select_related("certificate").order_by(
        "pk"
    ):  # a parent is always older than what it signed
        own = authority.certificate
        assert own is not None  # by the filter
        if authority.parent_id in live and own.not_after >= now:
            live[authority.pk] = own
    return list(live.values())
