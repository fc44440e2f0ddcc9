"""The handbook, `docs/` of the portal, served by the portal itself: sites are air-gapped."""
