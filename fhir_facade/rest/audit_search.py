"""Criteria of an AuditEvent search as conditions of the audit trail.

What a criterion means is what the search parameter's path finds in the resource of a row
(`resources.audit_event`); here it is said of the row's columns, which have indexes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fhir_facade import clock
from fhir_facade.audit.query import (
    AllOf,
    Among,
    AnyOf,
    Begins,
    Condition,
    Not,
    OfPatients,
    Present,
    Recorded,
)
from fhir_facade.errors import UnsupportedParameter
from fhir_facade.fhir.systems import AUDIT_EVENT_ACTION, AUDIT_EVENT_OUTCOME
from fhir_facade.mirror.criteria import (
    Criterion,
    DateCriterion,
    DateValue,
    IdCriterion,
    MissingCriterion,
    NothingCriterion,
    ReferenceCriterion,
    TokenCriterion,
    TokenValue,
)
from fhir_facade.resources.audit_acts import INTERACTIONS, OTHERS, REST, Act, Code
from fhir_facade.resources.audit_event import ENTITY_TYPES, key_of

ALWAYS = AllOf(())
NEVER = AnyOf(())
_MS = 1_000
"""Instants are shown in whole milliseconds, so an event lies in a millisecond."""
_IS_REST = Among("action", (REST,))
_ABOUT_PATIENTS = Not(Among("patients", ("",)))
_ABOUT_RESOURCE = AllOf((Present("type"), Present("resource_id")))
_ACTED_ON = AllOf((Present("actor"), AnyOf((Present("user_id"), Present("client_id")))))
_BY_SOMEBODY = AnyOf((Present("client_id"), Present("user_id"), Present("actor")))


def condition(criterion: Criterion) -> Condition:
    """The condition of one criterion. Raises UnsupportedParameter for what the trail cannot say:
    chains, and the modifiers `:text` and `:identifier`."""
    match criterion:
        case NothingCriterion():
            return NEVER
        case IdCriterion(values):
            keys = tuple(key for key in map(key_of, values) if key is not None)
            return Among("pk", keys) if keys else NEVER
        case DateCriterion(_, dates):
            return AnyOf(tuple(_recorded(value) for value in dates))
        case TokenCriterion(param, tokens, negated) if param in _TOKENS:
            found = _any(_TOKENS[param](value) for value in tokens)
            return Not(found) if negated else found
        case ReferenceCriterion(param, targets):
            return _any(_reference(param, *target) for target in targets)
        case MissingCriterion(param, _, missing):
            return Not(_PRESENT[param]) if missing else _PRESENT[param]
        case _:
            raise UnsupportedParameter(
                "AuditEvents are not searched in this way.",
                diagnostics="Use altid for apps and users, patient or entity with an id, and no "
                "modifier but :not and :missing.",
            )


def _any(conditions: Iterable[Condition]) -> Condition:
    """Any of them; alternatives within alternatives are put side by side."""
    flat: dict[Condition, None] = {}
    for one in conditions:
        flat.update(dict.fromkeys(one.conditions if isinstance(one, AnyOf) else (one,)))
    return next(iter(flat)) if len(flat) == 1 else AnyOf(tuple(flat))


def _recorded(value: DateValue) -> Condition:
    """R4 search.html#prefix, of events a millisecond wide."""
    lo_floor, lo_ceil = _floor(value.lo_us), _floor(value.lo_us + _MS - 1)
    hi_floor, hi_ceil = _floor(value.hi_us), _floor(value.hi_us + _MS - 1)
    within = Recorded(lo_ceil, max(lo_ceil, hi_floor))
    match value.prefix:
        case "eq":
            return within
        case "ne":
            return Not(within)
        case "gt":
            return Recorded(hi_floor)
        case "lt":
            return Recorded(None, lo_ceil)
        case "ge":
            return Recorded(min(lo_ceil, hi_floor))
        case "le":
            return Recorded(None, max(lo_ceil, hi_floor))
        case "sa":
            return Recorded(hi_ceil)
        case "eb":
            return Recorded(None, lo_floor)
        case "ap":
            slack = abs(clock.now_us() - (value.lo_us + value.hi_us) // 2) // 10
            first = _floor(value.lo_us - slack)
            return Recorded(first, _floor(value.hi_us + slack + _MS - 1))


def _floor(instant_us: int) -> int:
    return instant_us - instant_us % _MS


def _reference(param: str, target_type: str, target_id: str) -> Condition:
    people = [f"{kind}/{target_id}" for kind in ("Patient", "Practitioner")]
    agents = [person for person in people if target_type in ("", person.partition("/")[0])]
    if param == "agent":
        return Among("fhir_user", tuple(agents)) if agents else NEVER
    ways: list[Condition] = []
    if param == "patient":
        target_type = "Patient"
        ways.append(Among("fhir_user", (f"Patient/{target_id}",)))
    if target_type in ("", "Patient"):
        ways.append(OfPatients((target_id,)))
    types = (Among("type", (target_type,)),) if target_type else (Present("type"),)
    ways.append(AllOf((*types, Among("resource_id", (target_id,)))))
    return AnyOf(tuple(ways))


def _means(value: TokenValue, code: Code) -> bool:
    """Whether a token of the query is this code."""
    return value.system in (None, code.system) and value.code in (None, code.code)


def _of_acts(chosen: Callable[[Act], bool]) -> Condition:
    """Rows whose act is one of the chosen; every word that the house writes is in a table."""
    requests = [word for word, act in INTERACTIONS.items() if chosen(act)]
    others = [word for word, act in OTHERS.items() if chosen(act)]
    return AnyOf(
        (
            *(AllOf((_IS_REST, Among("interaction", (word,)))) for word in requests),
            *(Among("action", (word,)) for word in others),
        )
    )


def _action(value: TokenValue) -> Condition:
    return _of_acts(lambda act: _means(value, Code(AUDIT_EVENT_ACTION, act.action)))


def _type(value: TokenValue) -> Condition:
    return _of_acts(lambda act: _means(value, act.type))


def _subtype(value: TokenValue) -> Condition:
    return _of_acts(lambda act: any(_means(value, code) for code in act.subtypes))


def _outcome(value: TokenValue) -> Condition:
    if value.system not in (None, AUDIT_EVENT_OUTCOME):
        return NEVER
    own_fault = Among("status", tuple(range(500, 600)))
    ways: dict[str, Condition] = {
        "0": Among("outcome", ("success",)),
        "4": AllOf(
            (
                Among("outcome", ("refused", "error")),
                Not(AllOf((Among("outcome", ("error",)), own_fault))),
            )
        ),
        "8": AllOf((Among("outcome", ("error",)), own_fault)),
    }
    return ALWAYS if value.code is None else ways.get(value.code, NEVER)


def _alt_id(value: TokenValue) -> Condition:
    if value.system:
        return NEVER
    if value.code is None:
        return _PRESENT["altid"]
    mine = (value.code,)
    nobody = Not(Present("actor"))
    return AnyOf(
        (
            AllOf((Among("client_id", mine), nobody)),
            AllOf((Among("user_id", mine), nobody)),
            Among("actor", mine),
        )
    )


def _correlation_id(value: TokenValue) -> Condition:
    return Present("correlation_id") if not value.code else Among("correlation_id", (value.code,))


def _entity_type(value: TokenValue) -> Condition:
    person, thing, other, request = (_means(value, code) for code in ENTITY_TYPES)
    ways: list[Condition] = []
    if person:
        ways.append(_ABOUT_PATIENTS)
    if thing:
        ways += [_ABOUT_RESOURCE, Present("query")]
    if other:
        ways += [Present("job_id"), _ACTED_ON]
    if request:
        ways += [Present("correlation_id"), Present("status"), Present("type"), Present("step")]
    return AnyOf(tuple(ways))


_TOKENS: dict[str, Callable[[TokenValue], Condition]] = {
    "action": _action,
    "altid": _alt_id,
    "correlation-id": _correlation_id,
    "entity-type": _entity_type,
    "outcome": _outcome,
    "subtype": _subtype,
    "type": _type,
}
_PRESENT: dict[str, Condition] = {
    "action": ALWAYS,
    "agent": _BY_SOMEBODY,
    "altid": _BY_SOMEBODY,
    "correlation-id": Present("correlation_id"),
    "date": ALWAYS,
    "entity": AnyOf(
        (
            _ABOUT_PATIENTS,
            _ABOUT_RESOURCE,
            Present("job_id"),
            _ACTED_ON,
            Present("correlation_id"),
        )
    ),
    "entity-type": AnyOf(
        (_ABOUT_PATIENTS, Present("type"), Present("correlation_id"), Present("status"))
    ),
    "outcome": ALWAYS,
    "patient": AnyOf(
        (
            _ABOUT_PATIENTS,
            AllOf((Among("type", ("Patient",)), Present("resource_id"))),
            Begins("fhir_user", "Patient/"),
        )
    ),
    "subtype": ALWAYS,
    "type": ALWAYS,
}
