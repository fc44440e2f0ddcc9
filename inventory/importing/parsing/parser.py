"""Parses a block into staged rows, rejects and counts. Runs in any process, without database or settings."""

import warnings
from array import array
from dataclasses import dataclass, field

from cryptography.utils import CryptographyDeprecationWarning

from inventory.importing.loading import seen_certificates
from inventory.importing.parsing import binary_copy
from inventory.importing.parsing.certificates import Unreadable
from inventory.importing.parsing.records import Block, Layout, Record, Reject, kept, records
from inventory.importing.parsing.rows import CertificateRow, Row, Rules, row
from inventory.importing.parsing.values import BadValue
from inventory.importing.sources import products

_MOST_CHAIN_CERTIFICATES_KEPT = 10_000
# A certificate (SHA-256) and who holds it: that it has two holders is for the database to say, whatever the block.
_Held = tuple[bytes, tuple[int, str] | None]


@dataclass(slots=True)
class Authority:
    """A certificate of an authority that is staged: the authority is called `name` and known by `identity`."""

    sha256: bytes
    identity: bytes
    issuer: bytes
    name: str


@dataclass(slots=True)
class Staged:
    """What a block comes to. `devices` and `certificates` are rows of a binary COPY."""

    records: int = 0
    devices: bytes = b""
    device_count: int = 0
    certificates: bytes = b""
    certificate_count: int = 0
    # Of the certificates, for `novelty`.
    names: "array[int]" = field(default_factory=lambda: array("Q"))
    # Certificates that stand in the block more than once.
    repeated: int = 0
    rejects: list[Reject] = field(default_factory=list)
    # The names of the authorities that signed something here, or whose certificates are here, by identity.
    issuers: dict[bytes, str] = field(default_factory=dict)
    authorities: list[Authority] = field(default_factory=list)
    names_places: bool = False
    revokes: bool = False


class Parser:
    """Parses the blocks of one import. Own: an identity of an authority of this portal, whose door is not passed by."""

    def __init__(self, layout: Layout, rules: Rules, own: frozenset[bytes]) -> None:
        self._layout = layout
        self._rules = rules
        self._own = own
        self._translate = products.TRANSLATIONS.get(layout.product)
        # Authorities' certificates that a chain repeats in every row: once a parser is enough.
        self._staged_chains: set[bytes] = set()
        # And what is refused in them.
        self._told: set[int] = set()

    def parse(self, block: Block) -> Staged:
        with warnings.catch_warnings():
            # What the library will refuse one day, and tells of already, is judged here.
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            return self._parse(block)

    def _parse(self, block: Block) -> Staged:
        staged = Staged()
        devices: dict[tuple[int, str], bytes] = {}
        certificates: dict[_Held, bytes] = {}
        for record in records(block, self._layout):
            staged.records += 1
            if isinstance(record, Reject):
                staged.rejects.append(record)
                continue
            made = self._row(record, staged)
            if made is None:
                continue
            for refused in made.refused:
                if self._tells_anew(refused.mark):
                    staged.rejects.append(Reject(record.line, refused.reason, kept(record.original)))
            for position, certificate in enumerate(made.certificates):
                self._stage(record.line, certificate, certificates, staged, in_chain=position > 0)
            if made.device:
                key = (made.device.fleet_id, made.device.serial)
                if key not in devices:
                    devices[key] = binary_copy.device(record.line, made.device)
                    staged.names_places |= bool(made.device.site or made.device.batch)
        staged.devices, staged.device_count = b"".join(devices.values()), len(devices)
        staged.certificates, staged.certificate_count = b"".join(certificates.values()), len(certificates)
        return staged

    def originals(self, block: Block, lines: set[int]) -> dict[int, str]:
        """Return the text of the records at `lines`, for rejects that only the database could find."""
        return {
            record.line: kept(record.original)
            for record in records(block, self._layout)
            if record.line in lines and isinstance(record, Record)
        }

    def _tells_anew(self, mark: int) -> bool:
        if mark in self._told:
            return False
        if len(self._told) < _MOST_CHAIN_CERTIFICATES_KEPT:
            self._told.add(mark)
        return True

    def _row(self, record: Record, staged: Staged) -> Row | None:
        try:
            cells = self._translate(record.cells) if self._translate else record.cells
            return row(cells, self._rules)
        except (BadValue, Unreadable) as problem:
            staged.rejects.append(Reject(record.line, str(problem), kept(record.original)))
            return None

    def _stage(
        self, line: int, row: CertificateRow, certificates: dict[_Held, bytes], staged: Staged, *, in_chain: bool
    ) -> None:
        """Stage a certificate, unless it is staged already."""
        facts = row.facts
        if in_chain:
            if facts.sha256 in self._staged_chains:
                return
            if len(self._staged_chains) < _MOST_CHAIN_CERTIFICATES_KEPT:
                self._staged_chains.add(facts.sha256)
        key = facts.sha256, row.holder
        if key in certificates:
            staged.repeated += not in_chain
            return
        ours = facts.issuer.identity in self._own
        certificates[key] = binary_copy.certificate(line, row, by_own_authority=ours)
        staged.names.append(seen_certificates.name(facts.issuer.identity, facts.serial))
        staged.revokes |= row.revoked_at is not None
        if ours:
            return
        staged.issuers.setdefault(facts.issuer.identity, facts.issuer.name)
        if facts.authority:
            subject = facts.authority
            staged.issuers.setdefault(subject.identity, subject.name)
            staged.authorities.append(Authority(facts.sha256, subject.identity, facts.issuer.identity, subject.name))
