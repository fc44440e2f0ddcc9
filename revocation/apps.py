from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RevocationConfig(AppConfig):
    name = "revocation"
    verbose_name = _("Revocation")

    def ready(self) -> None:
        from revocation import checks  # noqa: F401  (registers them)
