"""The ticket system that the settings name."""

from dataclasses import dataclass

from django.conf import settings

from renewal.field.tickets.systems import Jira, ServiceNow, System

_CLOUD_SEARCH = "/rest/api/2/search/jql"


@dataclass(frozen=True)
class Connection:
    """`authorization`: the whole value of that header."""

    system: System
    address: str
    authorization: str


def connection() -> Connection | None:
    """Return how tickets are made, None when no system is set. Raises ValueError for one that there is not."""
    place, closing = settings.TICKETS_PLACE, settings.TICKETS_CLOSING
    systems: dict[str, System] = {
        "jira": Jira(place, closing),
        "jira-cloud": Jira(place, closing, _CLOUD_SEARCH),
        "servicenow": ServiceNow(place, closing),
    }
    if not settings.TICKETS:
        return None
    if settings.TICKETS not in systems:
        raise ValueError(f"CERTPORTAL_TICKETS is {settings.TICKETS!r}; it is one of {', '.join(systems)}, or empty.")
    return Connection(systems[settings.TICKETS], settings.TICKETS_URL, settings.TICKETS_AUTHORIZATION)
