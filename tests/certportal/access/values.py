"""What stands in an address for a row of a fleet: the key of that row where it names one, else something harmless."""

from typing import Any

from tests.certportal.access.addresses import Address
from tests.certportal.access.two_fleets import OneFleet

# The rows of API resources.
RESOURCES = {
    "fleets": "slug_fleet", "sites": "inventory_site", "batches": "inventory_batch", "devices": "inventory_device",
    "certificates": "inventory_certificate", "profiles": "slug_profile", "authorities": "slug_authority",
    "imports": "inventory_importrun", "column-mappings": "inventory_columnmapping",
    "sightings": "inventory_unexpectedsighting", "campaigns": "renewal_campaign", "crls": "revocation_crl",
    "enrolments": "", "enrolment-secrets": "", "gateways": "renewal_gateway", "receipts": "renewal_earlyreceipt",
    "alerts": "inventory_alert", "alert-policies": "inventory_alertpolicy",
    "alert-recipients": "inventory_recipient", "mutes": "inventory_mute", "saved-filters": "certportal_savedfilter",
    "cases": "inventory_case",
    "approvals": "inventory_proposal", "audit-events": "inventory_auditevent", "expiry": "", "campaign-targets": "",
    "escalations": "renewal_workorder", "teams": "renewal_team", "device-notes": "renewal_devicenote",
}  # fmt: skip
_PAGES = {
    "profile_jitter": "inventory_profile", "saved_filter": "certportal_savedfilter",
    "saved_filter_forget": "certportal_savedfilter", "revoke_certificate": "inventory_certificate",
    "inventory_device_case": "inventory_revokeddevice", "twilio-receipt": "renewal_gateway",
}  # fmt: skip
_CONSTANT = {
    "kind": "csv", "name": "tiles", "page": "campaigns", "picture": "device.png", "queue_index": 0,
    "connection_index": 0, "job_id": "none", "result_id": "none",
    "key": "none", "token": "none", "scheduler_name": "none", "cron_job_name": "none", "app_label": "inventory",
    "url": "none", "label": "none", "id": 0, "authority": "none", "scope": "all", "encoded": "MAA",
    "axis": "site", "row": "none", "period": "2026-W48",
}  # fmt: skip


def row_of(address: Address) -> str:
    """Return the kind of row, `app_model`, that an address names; empty where it names none of a fleet."""
    space, _colon, name = address.name.rpartition(":")
    if space == "api":
        return RESOURCES[name.rpartition("-")[0] if name not in _ACTS else _ACTS[name]] if address.parameters else ""
    if space == "field":
        return "renewal_workorder" if address.parameters else ""
    if not {"pk", "object_id"} & set(address.parameters):
        return ""
    if not space and "/" not in name:
        return _PAGES[name]
    if not space:
        # The admin's redirect from a row to its page.
        _admin, app, model, *_rest = address.name.split("/")
        return f"{app}_{model}"
    return _PAGES.get(name) or "_".join(name.split("_")[:2])


_ACTS = {
    "imports-in-earnest": "imports", "campaign-targets-list": "campaigns", "campaign-targets-csv": "campaigns",
    "campaign-targets-ndjson": "campaigns", "campaign-targets-xlsx": "campaigns",
}  # fmt: skip


def of(address: Address, fleet: OneFleet) -> dict[str, Any]:
    """Return a value for each parameter."""
    row = row_of(address)
    key = fleet.rows.get(row, 0)
    return {**_CONSTANT, **dict.fromkeys(("pk", "object_id", "slug", "campaign_id"), key)}


def echoes(address: Address) -> bool:
    """Tell whether the words of a fleet stand in the address itself, so that a refusal may quote them."""
    return "slug" in address.parameters
