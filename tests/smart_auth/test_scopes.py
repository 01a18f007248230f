"""The scope algebra: what a text means, and what is left of it under limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as given_any
from hypothesis import strategies as st

from smart_auth.scopes import GRANULAR_TYPES, SPECIAL_SCOPES, Category, Scope, ScopeSet

TYPES = ("Patient", "Observation", "Condition", "Appointment", "DiagnosticReport")


def parse(text: str) -> ScopeSet:
    return ScopeSet.parse(text, TYPES)


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("patient/Patient.read", "rs"),
        ("patient/Patient.write", "cud"),
        ("patient/Patient.*", "cruds"),
        ("user/*.rs", "rs"),
        ("system/*.cruds", "cruds"),
        ("patient/Observation.r", "r"),
        ("patient/Observation.s", "s"),
        ("patient/Observation.us", "us"),
    ],
)
def test_both_dialects_name_the_same_letters(text: str, letters: str) -> None:
    (scope,) = parse(text).resources
    assert scope.letters == set(letters)
    assert str(scope) == text


@pytest.mark.parametrize(
    "text",
    [
        "patient/Patient.sr",
        "patient/Patient.rr",
        "patient/Patient.",
        "patient/Patient",
        "patient/Nonsense.rs",
        "patient/patient.rs",
        "Patient/Patient.rs",
        "everything",
        "patient/*.reads",
        "patient/Patient.rs?category=x",
        "patient/*.rs?category=x",
        "patient/Observation.rs?code=x",
        "patient/Observation.rs?category=",
        "patient/Observation.rs?category=a&status=final",
        "patient/Observation.rs?category=http://s|",
        "launch/practitioner",
        "open_id",
    ],
)
def test_what_is_not_a_known_scope_is_dropped(text: str) -> None:
    assert not parse(text)
    assert str(parse(f"{text} patient/Patient.rs {text}")) == "patient/Patient.rs"


def test_granular_scopes_keep_their_categories() -> None:
    text = "patient/Observation.rs?category=http://a/b|laboratory,vital-signs,|own"
    (scope,) = parse(text).resources
    assert scope.categories == (
        Category("http://a/b", "laboratory"),
        Category(None, "vital-signs"),
        Category("", "own"),
    )
    assert str(scope) == text
    encoded = "patient/Observation.rs?category=http%3A%2F%2Fa%2Fb%7Claboratory"
    assert str(parse(encoded)) == "patient/Observation.rs?category=http://a/b|laboratory"


@pytest.mark.parametrize(
    ("asked", "allowed", "granted"),
    [
        ("patient/Patient.cruds", "patient/Patient.rs", "patient/Patient.rs"),
        ("patient/Patient.cruds", "patient/*.rs", "patient/Patient.rs"),
        ("patient/*.rs", "patient/Patient.rs", "patient/Patient.rs"),
        ("patient/*.read", "patient/Patient.rs", "patient/Patient.read"),
        ("patient/*.*", "patient/Patient.rs", "patient/Patient.read"),
        ("patient/*.*", "patient/*.r", "patient/*.r"),
        ("patient/*.read", "patient/*.read patient/Patient.rs", "patient/*.read"),
        ("patient/*.rs", "patient/*.r patient/Patient.rs", "patient/*.r patient/Patient.rs"),
        ("patient/Patient.rs", "patient/Patient.r patient/*.s", "patient/Patient.rs"),
        ("patient/Patient.rs", "user/Patient.rs system/*.rs", ""),
        ("patient/Patient.r", "patient/Patient.s", ""),
        ("openid fhirUser launch", "openid launch", "openid launch"),
        (
            "patient/Observation.rs",
            "patient/Observation.rs?category=http://c|lab",
            "patient/Observation.rs?category=http://c|lab",
        ),
        (
            "patient/Observation.rs?category=http://c|lab,http://c|vital",
            "patient/Observation.r?category=lab",
            "patient/Observation.r?category=http://c|lab",
        ),
        ("patient/Observation.rs?category=a", "patient/Observation.rs?category=b", ""),
        ("patient/Observation.rs?category=|a", "patient/Observation.rs?category=http://c|a", ""),
    ],
)
def test_granted_is_what_is_asked_and_allowed(asked: str, allowed: str, granted: str) -> None:
    assert str(parse(asked).intersect(parse(allowed))) == granted


def test_user_limits_leave_special_scopes_alone() -> None:
    asked = parse("openid launch/patient patient/*.cruds")
    assert str(asked.limit(parse("patient/Patient.rs"))) == (
        "openid launch/patient patient/Patient.rs"
    )


@pytest.mark.parametrize(
    ("text", "meaningful"),
    [
        ("offline_access", False),
        ("fhirUser online_access refresh", False),
        ("openid", True),
        ("launch/patient", True),
        ("patient/Patient.r", True),
    ],
)
def test_some_scopes_are_nothing_by_themselves(text: str, meaningful: bool) -> None:
    assert parse(text).meaningful is meaningful


given_settings = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def given(
    *strategies: st.SearchStrategy[Any],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Many examples, without a clock: other work on the machine must not fail a property."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        return given_settings(given_any(*strategies)(test))

    return decorate


letters = st.sets(st.sampled_from("cruds"), min_size=1).map(frozenset)
categories = st.lists(
    st.builds(Category, st.sampled_from([None, "", "http://a"]), st.sampled_from(["x", "y"])),
    max_size=3,
    unique=True,
).map(tuple)


@st.composite
def scopes(draw: st.DrawFn) -> Scope:
    resource_type = draw(st.sampled_from([*TYPES, "*"]))
    return Scope(
        level=draw(st.sampled_from(["patient", "user", "system"])),
        type=resource_type,
        letters=draw(letters),
        categories=draw(categories) if resource_type in GRANULAR_TYPES else (),
        dialect=draw(st.sampled_from(["v1", "v2"])),
    )


scope_sets = st.lists(st.one_of(scopes(), st.sampled_from(SPECIAL_SCOPES)), max_size=6).map(
    ScopeSet.of
)


def meaning(scope_set: ScopeSet) -> set[tuple[str, ...]]:
    """Every (level, type, letter, category) a set lets through, in a small world of categories."""
    world = [("", "x"), ("", "y"), ("http://a", "x"), ("http://a", "y"), ("http://b", "x")]
    let = {("special", special, "", "", "") for special in scope_set.specials}
    for scope in scope_set.resources:
        for resource_type in TYPES if scope.type == "*" else [scope.type]:
            for system, code in world:
                if not scope.categories or any(
                    token.code == code and token.system in (None, system)
                    for token in scope.categories
                ):
                    let |= {
                        (scope.level, resource_type, letter, system, code)
                        for letter in scope.letters
                    }
    return let


@given(scope_sets)
def test_text_and_back_means_the_same(scope_set: ScopeSet) -> None:
    assert meaning(parse(str(scope_set))) == meaning(scope_set)


@given(scope_sets, scope_sets)
def test_intersection_lets_through_exactly_what_both_do(asked: ScopeSet, most: ScopeSet) -> None:
    assert meaning(asked.intersect(most)) == meaning(asked) & meaning(most)


@given(scope_sets, scope_sets)
def test_both_sides_cover_the_intersection(asked: ScopeSet, most: ScopeSet) -> None:
    granted = asked.intersect(most)
    assert asked.covers(granted)
    assert most.covers(granted)


@given(scope_sets, scope_sets)
def test_covering_means_letting_through(wide: ScopeSet, narrow: ScopeSet) -> None:
    if wide.covers(narrow):
        assert meaning(narrow) <= meaning(wide)


@given(scope_sets)
def test_a_set_covers_itself_and_the_empty_one_nothing(scope_set: ScopeSet) -> None:
    assert scope_set.covers(scope_set)
    assert scope_set.covers(ScopeSet())
    assert ScopeSet().covers(scope_set) is (not scope_set)


@given(scope_sets, st.sampled_from(["patient", "user", "system"]), st.sampled_from(TYPES))
def test_allows_agrees_with_the_meaning(scope_set: ScopeSet, level: str, kind: str) -> None:
    for letter in "cruds":
        through = any(entry[:3] == (level, kind, letter) for entry in meaning(scope_set))
        assert scope_set.allows(level, kind, letter) is through  # type: ignore[arg-type]


@given(scope_sets, scope_sets)
def test_a_wider_set_never_allows_less(small: ScopeSet, more: ScopeSet) -> None:
    wide = ScopeSet.of([*small, *more])
    assert wide.covers(small)
    for level, kind, letter, *_ in meaning(small):
        if level != "special":
            assert wide.allows(level, kind, letter)  # type: ignore[arg-type]


@given(scope_sets, scope_sets, scope_sets)
def test_a_wider_limit_never_leaves_less(asked: ScopeSet, most: ScopeSet, more: ScopeSet) -> None:
    wide = ScopeSet.of([*most, *more])
    assert meaning(asked.intersect(most)) <= meaning(asked.intersect(wide))
    assert meaning(asked.limit(most)) <= meaning(asked.limit(wide))


@given(scope_sets)
def test_nothing_allows_nothing_and_everything_changes_nothing(asked: ScopeSet) -> None:
    everything = parse(" ".join([*SPECIAL_SCOPES, "patient/*.* user/*.* system/*.*"]))
    assert not asked.intersect(ScopeSet())
    assert not ScopeSet().intersect(asked)
    assert not asked.limit(ScopeSet()).resources
    assert meaning(asked.intersect(everything)) == meaning(asked)
    for level in ("patient", "user", "system"):
        assert not any(ScopeSet().allows(level, kind, "r") for kind in TYPES)  # type: ignore[arg-type]


@given(scope_sets, scope_sets)
def test_the_order_of_two_limits_does_not_matter(asked: ScopeSet, most: ScopeSet) -> None:
    assert meaning(asked.intersect(most)) == meaning(most.intersect(asked))
    assert meaning(asked.intersect(most).intersect(most)) == meaning(asked.intersect(most))


@given(scope_sets, scope_sets)
def test_a_limit_cuts_resources_and_leaves_the_rest(asked: ScopeSet, most: ScopeSet) -> None:
    limited = asked.limit(most)
    assert limited.specials == asked.specials
    assert meaning(limited) == {
        entry for entry in meaning(asked) if entry[0] == "special" or entry in meaning(most)
    }


@given(scope_sets, scope_sets)
def test_narrowing_never_goes_past_what_covers_it(granted: ScopeSet, asked: ScopeSet) -> None:
    """What a refresh asks for is either within the grant, and then changes nothing else, or not."""
    if granted.covers(asked):
        assert meaning(asked) <= meaning(granted)
        assert meaning(granted.intersect(asked)) == meaning(asked)


@given(scope_sets, scope_sets)
def test_an_answer_is_in_the_dialect_it_was_asked_in(asked: ScopeSet, most: ScopeSet) -> None:
    answered = asked.intersect(most)
    said = parse(str(answered))
    assert meaning(said) == meaning(answered)
    dialects = {(scope.level, scope.dialect) for scope in asked.resources}
    for scope in answered.resources:
        assert (scope.level, scope.dialect) in dialects
        in_v1_words = str(scope).partition("?")[0].rpartition(".")[2] in ("read", "write", "*")
        if in_v1_words:
            assert scope.dialect == "v1"


@given(scope_sets)
def test_what_is_asked_within_the_limit_comes_back_word_for_word(asked: ScopeSet) -> None:
    asked = parse(str(asked))
    everything = parse(" ".join([*SPECIAL_SCOPES, "patient/*.* user/*.* system/*.*"]))
    assert str(asked.intersect(everything)) == str(asked)


@given(st.sampled_from(TYPES), letters)
def test_letters_may_be_split_over_scopes(kind: str, some: frozenset[str]) -> None:
    ordered = [letter for letter in "cruds" if letter in some]
    whole = parse(f"user/{kind}.{''.join(ordered)}")
    split = parse(" ".join(f"user/{kind}.{letter}" for letter in ordered))
    assert meaning(whole) == meaning(split)
    assert whole.covers(split)
    assert split.covers(whole)
    assert str(split.intersect(whole)) == str(split)


@given(st.sampled_from(sorted(GRANULAR_TYPES & set(TYPES))), categories, categories)
def test_granular_scopes_are_the_union_of_their_categories(
    kind: str, left: tuple[Category, ...], right: tuple[Category, ...]
) -> None:
    if not (left and right):
        return
    whole = Scope("patient", kind, frozenset("rs"), tuple(dict.fromkeys([*left, *right])))
    parts = [Scope("patient", kind, frozenset("rs"), some) for some in (left, right)]
    assert meaning(ScopeSet((whole,))) == meaning(ScopeSet.of(parts))
    assert ScopeSet.of(parts).covers(ScopeSet((whole,)))
    unlimited = parse(f"patient/{kind}.rs")
    assert unlimited.covers(ScopeSet((whole,)))
    assert not ScopeSet((whole,)).covers(unlimited)


def test_what_apps_write_is_compared_in_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two lists of many scopes, or of many categories, do not cost each pair of them."""
    steps: Counter[str] = Counter()
    for kind, name in ((Scope, "covers"), (Category, "within")):
        monkeypatch.setattr(kind, name, _counted(getattr(kind, name), name, steps))
    many = 400
    apart = parse(" ".join(f"patient/Observation.rs?category={n}" for n in range(many)))
    whole = parse("patient/*.rs")
    assert whole.intersect(apart) == apart
    assert apart.covers(apart)
    tokens = ",".join(str(n) for n in range(many))
    listed = parse(f"patient/Observation.rs?category={tokens}")
    assert listed.intersect(listed) == listed
    assert listed.covers(apart)
    assert steps.total() < 10 * many


def _counted(method: Callable[..., bool], name: str, steps: Counter[str]) -> Callable[..., bool]:
    def count(*args: Any) -> bool:
        steps[name] += 1
        return method(*args)

    return count
