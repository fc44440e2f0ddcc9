from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class InventoryConfig(AppConfig):
    name = "inventory"
    verbose_name = _("Inventory")

    def ready(self) -> None:
        from inventory.approvals import kinds
        from inventory.devices import cases
        from inventory.models import ProposalKind

        kinds.register(ProposalKind.CASE_VERDICT, cases.RULES)
