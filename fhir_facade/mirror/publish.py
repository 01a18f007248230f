"""Publishing: finished resources become versions, in one transaction under the tenant's next
revision (design section 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from fhir_facade import clock
from fhir_facade.fhir import FHIRResource, json
from fhir_facade.fhir.ids import provenance_id
from fhir_facade.mirror import dirty
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.dependencies import replace_dependencies
from fhir_facade.mirror.publication import Candidate, OpenVersion, Publication, open_by_keys
from fhir_facade.policy import ReachClass, RowFacts
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.resources.subject import Subject

LARGEST_BATCH = 200
"""Resources in one call: a writer holds the lock for some 50 ms at most."""

Key = tuple[str, str]
"""(type, id) of a resource."""


@dataclass(frozen=True)
class Prepared:
    """A validated resource and the Provenance that is written if the resource changed.

    A resource of an inherited class (Binary) names those it is reached as, two at most, which are
    published with it.
    """

    resource: FHIRResource
    provenance: FHIRResource | None = None
    inherits: tuple[Key, ...] = ()


@dataclass(frozen=True)
class SubjectOutput:
    """All that one subject yields now.

    What it yielded before and is neither in `resources` nor in `kept` is deleted: `kept` names what
    could not be made this time and stays as it was. With `keep_rest` nothing is deleted: what it
    would yield is not known as a whole. `mark` is the dirty mark seen before the
    records were read, None when the subject was not taken from the dirty list. A resource belongs
    to the subject that yielded it last.
    """

    subject: Subject
    mark: int | None
    resources: tuple[Prepared, ...]
    kept: frozenset[Key] = frozenset()
    dependencies: tuple[Subject, ...] = ()
    keep_rest: bool = False


class PublishResult(NamedTuple):
    """Counts of resources (Provenance not counted); `revision` is None when nothing changed."""

    revision: int | None
    created: int
    updated: int
    unchanged: int
    deleted: int


class Publisher:
    """Publishes what was mapped. `registry` holds the definition of each type, `now_us` the
    time."""

    def __init__(
        self,
        database: Database,
        registry: Mapping[str, ResourceDefinition],
        now_us: Callable[[], int] = clock.now_us,
    ) -> None:
        self._database = database
        self._registry = registry
        self._now_us = now_us

    def publish(
        self, tenant: str, source: str, outputs: Sequence[SubjectOutput], zone: ZoneInfo
    ) -> PublishResult:
        """Write what changed, delete what is gone, take the subjects off the dirty list: all of it
        or nothing. `zone` is the tenant's, for dates without one.

        Raises ValueError for more than LARGEST_BATCH resources, or one of a type that is not
        stored.
        """
        candidates = self._candidates(outputs, source, zone)
        if len(candidates) > LARGEST_BATCH:
            raise ValueError(f"at most {LARGEST_BATCH} resources can be published at once")
        with self._database.read() as conn:
            known = open_by_keys(conn, tenant, candidates)
        # Index values are worked out before the lock is taken.
        for key, candidate in candidates.items():
            if not candidate.same_as(known.get(key)):
                candidate.prepare_index()
        with self._database.write() as conn:
            return self._publish(conn, tenant, source, outputs, candidates)

    def _candidates(
        self, outputs: Iterable[SubjectOutput], source: str, zone: ZoneInfo
    ) -> dict[Key, Candidate]:
        candidates: dict[Key, Candidate] = {}
        for output in outputs:
            for prepared in output.resources:
                definition = self._definition(prepared.resource)
                facts = _inherited(definition, prepared, candidates)
                candidate = Candidate(
                    definition=definition,
                    resource=prepared.resource,
                    content_hash=_digest(prepared.resource, facts),
                    facts=facts,
                    source=source,
                    subject=output.subject,
                    zone=zone,
                    provenance=prepared.provenance,
                    provenance_definition=self._registry["Provenance"],
                )
                candidates[candidate.key] = candidate
        return candidates

    def _definition(self, resource: FHIRResource) -> ResourceDefinition:
        definition = self._registry.get(resource["resourceType"])
        if definition is None or not definition.stored:
            raise ValueError("a resource of a type that is not stored cannot be published")
        return definition

    def _publish(
        self,
        conn: Connection,
        tenant: str,
        source: str,
        outputs: Sequence[SubjectOutput],
        candidates: Mapping[Key, Candidate],
    ) -> PublishResult:
        publication = Publication(conn, tenant, self._now_us())
        owned = publication.open_of_subjects(source, [output.subject for output in outputs])
        publication.load(candidates)
        publication.load(
            ("Provenance", candidate.provenance["id"])
            for key, candidate in candidates.items()
            if candidate.provenance is not None and not candidate.same_as(publication.known(key))
        )
        created, updated = _apply(publication, candidates)
        gone = _gone(owned, outputs, candidates)
        for row in gone:
            publication.delete(row)
        dirty.take(
            conn,
            tenant,
            source,
            [(output.subject, output.mark) for output in outputs if output.mark is not None],
        )
        wanted = {output.subject: output.dependencies for output in outputs}
        replace_dependencies(conn, tenant, source, wanted)
        revision = publication.flush()
        return PublishResult(
            revision=revision,
            created=created,
            updated=updated,
            unchanged=len(candidates) - created - updated,
            deleted=sum(row.type != "Provenance" for row in gone),
        )


def _inherited(
    definition: ResourceDefinition, prepared: Prepared, earlier: Mapping[Key, Candidate]
) -> RowFacts | None:
    """What decides on the reach of a resource that inherits it, None for others: what its targets
    have in common, so that nobody reaches it who reaches none of them.

    Raises ValueError when a target does not come before it.
    """
    targets = prepared.inherits
    if definition.reach is not ReachClass.INHERITED:
        return None
    if not targets or len(targets) > 2 or any(target not in earlier for target in targets):
        raise ValueError("an inherited resource is published after its targets")
    facts = [earlier[target].prepare_facts() for target in targets]
    first, last = facts[0], facts[-1]
    return RowFacts(
        prepared.resource["resourceType"],
        prepared.resource["id"],
        tuple(one for one in first.patients if one in last.patients),
        tuple(one for one in first.categories if one in last.categories),
        "\n".join(sorted(name for name, _ in targets)),
    )


def _digest(resource: FHIRResource, facts: RowFacts | None) -> bytes:
    """What tells versions apart: the content, and the reach where the content does not tell it."""
    if facts is None:
        return bytes.fromhex(json.content_hash(resource))
    reach = [facts.patients, facts.categories, facts.inherits]
    return bytes.fromhex(json.content_hash({"resource": resource, "reach": reach}))


def _apply(publication: Publication, candidates: Mapping[Key, Candidate]) -> tuple[int, int]:
    """Add what is new or changed; how many were created, and how many updated."""
    created = updated = 0
    for key, candidate in candidates.items():
        existing = publication.known(key)
        if candidate.same_as(existing):
            publication.adopt(key, candidate)
            continue
        publication.add(candidate)
        there = existing is not None and not existing.deleted
        created += not there
        updated += there
    return created, updated


def _gone(
    owned: Iterable[OpenVersion], outputs: Iterable[SubjectOutput], made: Iterable[Key]
) -> list[OpenVersion]:
    """Of what the subjects own: what they yield no longer, and the Provenance of it."""
    staying = set(made)
    kept_whole: set[Subject] = set()
    for output in outputs:
        staying |= output.kept
        if output.keep_rest:
            kept_whole.add(output.subject)
    staying |= {("Provenance", provenance_id(*key)) for key in staying}
    return [
        row
        for row in owned
        if not row.deleted
        and (row.type, row.id) not in staying
        and Subject(row.subject_kind, row.subject_key) not in kept_whole
    ]
