"""What every address needs: the table that the matrix compares the portal with.

A row: a pattern of names of addresses, and for each method the permission that opens it. The first row that fits holds.
Of an address that names a row of a fleet, only people of that fleet get an answer; which row, `values.row_of` says.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.certportal.access.addresses import Address
from tests.certportal.access.values import row_of

# Instead of a permission.
ANYBODY = "anybody"  # who is not logged in, too
STAFF = "staff"  # whoever may log in
NOBODY = "nobody"  # not even a superuser
FIELD = "renewal.view_workorder"
SECRETS = "renewal.add_enrolmentsecret"
SUPERUSER = "superusers.only"  # a permission that nobody is given
# Stand for the permission of the model that the address names; VIEW is what who may change has too, as in the admin.
VIEW, ADD, CHANGE, DELETE = "view", "add", "change", "delete"
# What only people of all fleets may.
PORTAL = "+portal"


@dataclass(frozen=True)
class Rule:
    names: str
    get: str = ""
    post: str = ""
    patch: str = ""

    def of(self, method: str) -> str:
        """Return what a method needs; empty: the address does not answer it."""
        return {"GET": self.get, "HEAD": self.get, "POST": self.post, "PATCH": self.patch}.get(method, "")


RULES = (
    # --- The site ---
    Rule("", ANYBODY, ANYBODY),  # leads to the dashboard, which asks
    Rule("admin:login", ANYBODY, ANYBODY),
    Rule("admin:logout", "", ANYBODY),
    Rule("admin:index", STAFF, STAFF),
    Rule("admin:search", STAFF, STAFF),
    Rule("admin:work", STAFF, STAFF),  # queues; each of them needs its permission
    Rule("admin:configuration", STAFF, STAFF),
    Rule("admin:handbook", STAFF, STAFF),
    Rule("admin:handbook_page", STAFF, STAFF),
    Rule("admin:handbook_picture", STAFF, STAFF),
    Rule("admin:dashboard_block", STAFF, STAFF),  # tiles; each of them needs its permission
    Rule("admin:ends*", "inventory.view_certificate"),
    Rule("admin:password_change_done", STAFF),
    Rule("admin:password_change", STAFF, STAFF),
    Rule("admin:own_tokens", STAFF, STAFF),
    Rule("admin:own_token_revoke", NOBODY, NOBODY),  # without a name of one's own there is nothing to withdraw
    Rule("admin:jsi18n", STAFF),
    Rule("admin:app_list", "any permission of the app", "any permission of the app"),
    Rule("admin:autocomplete", NOBODY, NOBODY),  # nothing asks it: it is refused without its parameters
    Rule("admin:saved_filter_keep", "", NOBODY),  # without a list there is nothing to keep
    Rule("admin:saved_filter_forget", "", "own"),
    Rule("admin:saved_filter", "inventory.view_device", "inventory.view_device"),
    # --- What gateways tell: only what is signed is heard ---
    Rule("twilio-receipt", "", NOBODY),
    # --- Acts of the admin ---
    Rule("admin:profile_jitter", "inventory.view_profile", "inventory.change_profile" + PORTAL),
    Rule("admin:revoke_certificate", "inventory.revoke_certificate", "inventory.revoke_certificate"),
    Rule("admin:inventory_case_decide", "inventory.decide_case", "inventory.decide_case"),
    Rule("admin:inventory_proposal_decide", VIEW, VIEW),  # a word of the form says what; without one nothing is done
    Rule("admin:inventory_device_case", "inventory.add_case", "inventory.add_case"),
    Rule("admin:inventory_device_secret", SECRETS, SECRETS),
    Rule("admin:inventory_expireddevice_secrets", SECRETS, SECRETS),
    Rule("admin:inventory_importrun_begin", "inventory.add_importrun", "inventory.add_importrun"),
    Rule("admin:inventory_importrun_progress", VIEW, VIEW),
    Rule("admin:inventory_importrun_rejects", NOBODY, NOBODY),  # the run has rejected nothing
    Rule("admin:inventory_importrun_in_earnest", NOBODY, "inventory.add_importrun"),
    Rule("admin:inventory_alert_acknowledge", "inventory.change_alert", "inventory.change_alert"),
    Rule("admin:inventory_alert_mute", "inventory.add_mute", "inventory.add_mute"),
    Rule("admin:inventory_alert_unmute", "", "inventory.change_mute"),
    Rule("admin:renewal_campaign_plan", "renewal.add_campaign", "renewal.add_campaign"),
    Rule("admin:renewal_rehearsal_ask", "renewal.add_campaign", "renewal.add_campaign"),
    Rule("admin:renewal_rehearsal_progress", VIEW, VIEW),
    Rule("admin:renewal_campaign_progress", VIEW, VIEW),
    Rule("admin:renewal_campaign_board", VIEW, VIEW),
    Rule("admin:renewal_campaign_report", NOBODY, NOBODY),  # the campaign has not ended
    Rule("admin:renewal_campaign_start", "renewal.change_campaign", "renewal.change_campaign"),
    Rule("admin:renewal_campaign_pause", "renewal.change_campaign", "renewal.change_campaign"),
    Rule("admin:renewal_campaign_open_wave", "renewal.change_campaign", "renewal.change_campaign"),
    Rule("admin:renewal_campaign_adjust", "renewal.change_campaign", "renewal.change_campaign"),
    Rule("admin:renewal_campaign_stop", "renewal.change_campaign", "renewal.change_campaign"),
    Rule("admin:renewal_workorder_assign", "renewal.assign_workorder", "renewal.assign_workorder"),
    Rule("admin:renewal_gateway_try", "renewal.change_gateway" + PORTAL, "renewal.change_gateway" + PORTAL),
    Rule("admin:inventory_certificate_download", VIEW, VIEW),
    Rule("admin:revocation_crl_download", NOBODY, NOBODY),  # its file is not in place
    # --- Queues: the job that is asked for is not there ---
    Rule("admin:django_rq_home*", "certportal.view_queues"),
    Rule("admin:django_rq_*_job", NOBODY, NOBODY),
    Rule("admin:django_rq_*_detail", NOBODY),
    Rule("admin:django_rq_worker_details", NOBODY),
    Rule("admin:django_rq_clear", "certportal.change_queues", "certportal.change_queues"),
    Rule("admin:django_rq_requeue_all", "certportal.change_queues", "certportal.change_queues"),
    Rule("admin:django_rq_delete_failed_jobs", "certportal.change_queues", "certportal.change_queues"),
    Rule("admin:django_rq_confirm_action", "certportal.change_queues", "certportal.change_queues"),
    Rule("admin:django_rq_actions", "certportal.change_queues", "certportal.change_queues"),
    Rule("admin:django_rq_dashboard_changelist", "certportal.view_queues"),
    Rule("admin:django_rq_*", "certportal.view_queues"),
    # --- Pages of the rows ---
    Rule("admin:auth_user_password_change", NOBODY, NOBODY),  # of nobody
    *(
        Rule(f"admin:{model}_{page}", NOBODY, NOBODY)
        for model in (
            "inventory_auditevent", "inventory_unexpectedsighting", "inventory_case", "inventory_proposal",
            "inventory_importrun",
            "inventory_alert", "inventory_delivery", "inventory_expireddevice", "inventory_revokeddevice",
            "renewal_campaign", "renewal_target", "renewal_workorder", "renewal_rehearsal",
            "inventory_certificate", "revocation_crl", "certportal_apitoken",
            "inventory_authority",
        )
        for page in ("add",)
    ),
    *(
        Rule(f"admin:{model}_add", ADD + PORTAL, ADD + PORTAL)
        for model in (
            "inventory_fleet", "inventory_profile", "inventory_alertpolicy", "inventory_recipient",
            "inventory_columnmapping", "renewal_gateway",
        )
    ),
    Rule("admin:auth_group_add", SUPERUSER, SUPERUSER),
    Rule("admin:*_add", ADD, ADD),
    Rule("admin:certportal_apitoken_delete", DELETE, DELETE),
    Rule("admin:*_delete", NOBODY, NOBODY),
    *(
        Rule(f"admin:{model}_change", VIEW, CHANGE + PORTAL)
        for model in ("inventory_profile", "inventory_authority", "inventory_alertpolicy", "inventory_recipient",
                      "inventory_columnmapping", "renewal_gateway")
    ),
    *(
        Rule(f"admin:{model}_change", VIEW, NOBODY)
        for model in (
            "inventory_auditevent", "inventory_unexpectedsighting", "inventory_case", "inventory_proposal",
            "inventory_importrun",
            "inventory_alert", "inventory_delivery", "inventory_expireddevice", "inventory_revokeddevice",
            "renewal_campaign", "renewal_target", "renewal_workorder", "renewal_rehearsal",
            "inventory_certificate", "revocation_crl", "certportal_apitoken",
        )
    ),
    Rule("admin:*_change", VIEW, CHANGE),
    Rule("admin:*_changelist", VIEW, VIEW),
    Rule("admin:*_history", VIEW, VIEW),
    Rule("admin:*_export", VIEW, VIEW),
    Rule("admin/*/{object_id}/", STAFF, STAFF),  # leads to the page of the row, whether there is one or not
    Rule("admin/(?P{url}.*)$", NOBODY, NOBODY),
    # --- The API ---
    Rule("api:api-root", STAFF),
    Rule("api-schema", ANYBODY),
    Rule("api-docs", ANYBODY),
    Rule("api/", NOBODY, NOBODY, NOBODY),
    # --- The pages for phones ---
    Rule("field:worker", ANYBODY),  # a script without a word of anybody's
    Rule("field:list", FIELD),
    Rule("field:order", FIELD),
    Rule("field:state", FIELD),
    Rule("field:close", "", "renewal.change_workorder"),
    Rule("healthz", ANYBODY, ANYBODY),
    Rule("readyz", ANYBODY, ANYBODY),
    Rule("api:expiry-jitter", "", "inventory.view_certificate inventory.view_profile"),
    Rule("api:expiry-*", "inventory.view_certificate"),
    Rule("api:campaign-targets-*", "renewal.view_target"),
    Rule("api:imports-rejects", NOBODY),
    Rule("api:imports-in-earnest", "", "inventory.add_importrun"),
    Rule("api:imports-resume", "", "inventory.add_importrun"),
    Rule("api:alerts-acknowledge", "", "inventory.change_alert"),
    Rule("api:alerts-mute", "", "inventory.add_mute"),
    Rule("api:approvals-decide", "", "inventory.view_proposal inventory.decide_case"),
    Rule("api:approvals-withdraw", "", "inventory.view_proposal"),
    Rule("api:escalations-assign", "", "renewal.assign_workorder"),
    Rule("api:escalations-close", "", "renewal.change_workorder"),
    Rule("api:cases-decide", "", "inventory.decide_case"),
    Rule("api:receipts-list", "", ADD),
    Rule("api:enrolments-list", "", "renewal.add_enrolmentsecret"),
    Rule("api:enrolment-secrets-list", "", "renewal.add_enrolmentsecret"),
    Rule("api:devices-list", VIEW, ADD, CHANGE),
    Rule("api:sites-list", VIEW, ADD),
    Rule("api:batches-list", VIEW, ADD),
    Rule("api:imports-list", VIEW, ADD),
    Rule("api:sightings-list", VIEW, ADD),
    Rule("api:cases-list", VIEW, ADD),
    Rule("api:mutes-list", VIEW, ADD),
    Rule("api:teams-list", VIEW, ADD),
    Rule("api:device-notes-list", VIEW, ADD),
    Rule("api:alert-policies-list", VIEW, ADD + PORTAL),
    Rule("api:alert-recipients-list", VIEW, ADD + PORTAL),
    Rule("api:alert-policies-detail", VIEW, "", CHANGE + PORTAL),
    Rule("api:alert-recipients-detail", VIEW, "", CHANGE + PORTAL),
    Rule("api:devices-detail", VIEW, "", CHANGE),
    Rule("api:sites-detail", VIEW, "", CHANGE),
    Rule("api:batches-detail", VIEW, "", CHANGE),
    Rule("api:mutes-detail", VIEW, "", CHANGE),
    Rule("api:teams-detail", VIEW, "", CHANGE),
    Rule("api:device-notes-detail", VIEW, "", CHANGE),
    Rule("api:*", VIEW),
)  # fmt: skip


def rule_for(address: Address) -> Rule | None:
    return next((rule for rule in RULES if _fits(rule.names, address.name)), None)


def _fits(pattern: str, name: str) -> bool:
    return pattern == name or fnmatchcase(name, pattern)


def model_of(address: Address) -> tuple[str, str]:
    """Return app and model whose permissions VIEW, ADD, CHANGE and DELETE stand for."""
    if address.name.startswith("api:"):
        from tests.certportal.access.values import RESOURCES

        resource = address.name.removeprefix("api:").rpartition("-")[0]
        row = RESOURCES[resource].replace("slug_", "inventory_")
    else:
        row = row_of(address) or "_".join(address.name.removeprefix("admin:").split("_")[:2])
    app, _underscore, model = row.partition("_")
    # Lists of devices under another name.
    return app, "device" if model in {"expireddevice", "revokeddevice"} else model
