"""What targets, their moves and attempts refer to is guarded when it is deleted. docs/decisions/references.md"""

from inventory.migrations.sql.references import Reference, guards, no_guards

_REFERENCES = (
    Reference("renewal_target", "campaign_id", "renewal_campaign"),
    Reference("renewal_target", "device_id", "inventory_device"),
    Reference("renewal_target", "certificate_id", "inventory_certificate"),
    Reference("renewal_target", "renewed_certificate_id", "inventory_certificate"),
    Reference("renewal_targetmove", "target_id", "renewal_target"),
    Reference("renewal_attempt", "target_id", "renewal_target"),
)

KEEP = guards(_REFERENCES)
LET_GO = no_guards(_REFERENCES)
