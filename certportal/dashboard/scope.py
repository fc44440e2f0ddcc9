"""What the dashboard is asked to show, in the address so that links keep it; and what of it one may see."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlencode

from inventory.admin.filters import is_key
from inventory.models import Axis, FleetIds
from inventory.models.access import within

SPANS = (30, 90, 365, 3 * 365, 10 * 365, 20 * 365)
_DEFAULT_SPAN = 90
# How far the map looks back: what ended lately is still a fact of today.
_PAST = {30: 7, 90: 14, 365: 28, 3 * 365: 28, 10 * 365: 60, 20 * 365: 60}


def _everything(_permission: str) -> bool:
    return True


@dataclass(frozen=True)
class Scope:
    fleet_id: int | None = None
    axis: Axis = Axis.SITE
    span: int = _DEFAULT_SPAN
    # The fleets of the person who looks, and whether he or she has a permission.
    allowed: FleetIds = None
    may: Callable[[str], bool] = _everything
    # Key of the person who looks, whatever the account.
    person: int | None = None

    @classmethod
    def of(
        cls,
        query: Mapping[str, str],
        allowed: FleetIds = None,
        may: Callable[[str], bool] = _everything,
        person: int | None = None,
    ) -> "Scope":
        """Read the scope from an address; what is not understood is left at its default."""
        fleet, rows, span = query.get("fleet", ""), query.get("rows", ""), query.get("span", "")
        return cls(
            int(fleet) if is_key(fleet) else None,
            Axis(rows) if rows in Axis.values else Axis.SITE,
            int(span) if span in map(str, SPANS) else _DEFAULT_SPAN,
            allowed,
            may,
            person,
        )

    @property
    def fleets(self) -> FleetIds:
        """The fleets whose numbers are shown: the one that was chosen, or all that the person sees."""
        return self.allowed if self.fleet_id is None else within(self.allowed, self.fleet_id)

    @property
    def of_portal(self) -> bool:
        """Whether the person sees what belongs to no fleet."""
        return self.allowed is None

    def query(self, **changes: object) -> str:
        """Return the query string of this scope, with changes."""
        values = {"fleet": self.fleet_id or "", "rows": self.axis.value, "span": self.span, **changes}
        return urlencode({key: value for key, value in values.items() if value != ""})

    def first_day(self, now: datetime) -> date:
        return now.astimezone(UTC).date() - timedelta(days=_PAST[self.span])

    @property
    def days(self) -> int:
        return _PAST[self.span] + self.span
