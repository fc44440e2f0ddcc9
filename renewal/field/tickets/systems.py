"""What ticket systems are asked, and what they answer. Pure.

Neither Jira nor ServiceNow knows a request that it got before: so what makes a ticket carries a correlation id, by
which the ticket is looked for before a second one would be made.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol
from urllib.parse import quote, urlencode
from uuid import UUID

# Part of an address later on.
_REFERENCE = re.compile(r"[A-Za-z0-9_-]{1,100}")
_LONGEST_SUMMARY = 160  # of ServiceNow; Jira takes 255


@dataclass(frozen=True)
class Request:
    """`path` begins at the address of the system."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Known:
    """A ticket that there is: what people call it, and what its address is made of."""

    key: str
    reference: str


@dataclass(frozen=True)
class Text:
    summary: str
    description: str
    due: date


class System(Protocol):
    def find(self, correlation_id: UUID) -> Request: ...

    def create(self, correlation_id: UUID, text: Text) -> Request: ...

    def close(self, reference: str, why: str) -> Request: ...

    def found(self, body: bytes) -> Known | None:
        """Read the answer to `find`; None when there is no such ticket. Raises ValueError for another answer."""

    def created(self, body: bytes) -> Known:
        """Read the answer to `create`. Raises ValueError for another answer."""


@dataclass(frozen=True)
class Jira:
    """Jira's REST API 2. `place`: key of a project; `closing`: id of the transition that ends an issue."""

    place: str
    closing: str
    # Data Center; Cloud has another one.
    search: str = "/rest/api/2/search"

    def find(self, correlation_id: UUID) -> Request:
        question = {"jql": f'labels = "{_label(correlation_id)}"', "fields": "key", "maxResults": 1}
        return Request("GET", f"{self.search}?{urlencode(question)}")

    def create(self, correlation_id: UUID, text: Text) -> Request:
        fields = {
            "project": {"key": self.place},
            "issuetype": {"name": "Task"},
            "summary": text.summary[:_LONGEST_SUMMARY],
            "description": text.description,
            "duedate": text.due.isoformat(),
            "labels": ["certportal", _label(correlation_id)],
        }
        return Request("POST", "/rest/api/2/issue", {"fields": fields})

    def close(self, reference: str, why: str) -> Request:
        body = {"transition": {"id": self.closing}, "update": {"comment": [{"add": {"body": why}}]}}
        return Request("POST", f"/rest/api/2/issue/{reference}/transitions", body)

    def found(self, body: bytes) -> Known | None:
        issues = _object(body).get("issues")
        if not isinstance(issues, list):
            raise ValueError("no list of issues")
        return self._known(issues[0]) if issues else None

    def created(self, body: bytes) -> Known:
        return self._known(_object(body))

    @staticmethod
    def _known(issue: Any) -> Known:
        key = _reference(issue, "key")
        return Known(key, key)


@dataclass(frozen=True)
class ServiceNow:
    """ServiceNow's Table API. `place`: a table such as `incident`; `closing`: the state in which a record has ended."""

    place: str
    closing: str

    def find(self, correlation_id: UUID) -> Request:
        question = {
            "sysparm_query": f"correlation_id={correlation_id}",
            "sysparm_fields": "sys_id,number",
            "sysparm_limit": 1,
        }
        return Request("GET", f"{self._table}?{urlencode(question)}")

    def create(self, correlation_id: UUID, text: Text) -> Request:
        record = {
            "short_description": text.summary[:_LONGEST_SUMMARY],
            "description": text.description,
            "due_date": text.due.isoformat(),
            "correlation_id": str(correlation_id),
            "correlation_display": "certportal",
        }
        return Request("POST", self._table, record)

    def close(self, reference: str, why: str) -> Request:
        return Request("PATCH", f"{self._table}/{reference}", {"state": self.closing, "close_notes": why})

    def found(self, body: bytes) -> Known | None:
        records = _object(body).get("result")
        if not isinstance(records, list):
            raise ValueError("no list of records")
        return self._known(records[0]) if records else None

    def created(self, body: bytes) -> Known:
        return self._known(_object(body).get("result"))

    @property
    def _table(self) -> str:
        return f"/api/now/table/{quote(self.place, safe='')}"

    @staticmethod
    def _known(record: Any) -> Known:
        return Known(_reference(record, "number"), _reference(record, "sys_id"))


def _label(correlation_id: UUID) -> str:
    return f"certportal-{correlation_id}"


def _object(body: bytes) -> dict[str, Any]:
    said = json.loads(body)
    if not isinstance(said, dict):
        raise ValueError("no JSON object")
    return said


def _reference(said: Any, name: str) -> str:
    value = said.get(name) if isinstance(said, dict) else None
    if not isinstance(value, str) or not _REFERENCE.fullmatch(value):
        raise ValueError(f"no {name}")
    return value
