from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RenewalConfig(AppConfig):
    name = "renewal"
    verbose_name = _("Renewal")

    def ready(self) -> None:
        from inventory.approvals import kinds
        from inventory.models import ProposalKind
        from renewal.campaigns import agreeing

        kinds.register(ProposalKind.CAMPAIGN_START, agreeing.RULES)
