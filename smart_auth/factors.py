"""Second factors: a PIN, or the codes of an authenticator app (TOTP, RFC 6238).

The codes are computed by the cryptography package, which is here anyway; what it leaves open, the
window of ±1 step and that no code is good twice, is here. A PIN is kept like a password.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from urllib.parse import quote, urlencode

import segno
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.twofactor import InvalidToken
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from smart_auth import clock
from smart_auth.keyring import Keyring
from smart_auth.passwords import check_password, hash_password
from smart_auth.records import FactorKind, SecondFactor, User
from smart_auth.store import AuthStore

DIGITS = 6
STEP_SECONDS = 30
STEPS_EITHER_SIDE = 1

_PIN = re.compile(r"[0-9]{6,12}")
_CODE = re.compile(r"[0-9]{6}")


@dataclass(frozen=True)
class Enrolment:
    """What a person copies into an authenticator app. `seed` is base32 without padding, `uri` the
    same with names and settings (otpauth)."""

    seed: str = field(repr=False)
    uri: str = field(repr=False)

    @property
    def groups(self) -> str:
        """The seed as people type it: in fours."""
        return " ".join(self.seed[at : at + 4] for at in range(0, len(self.seed), 4))

    @property
    def picture(self) -> str:
        """The URI as a QR code: an SVG element without styles, for a page."""
        return segno.make_qr(self.uri, error="m").svg_inline(
            scale=4, border=4, dark="#000000", light="#ffffff", title="QR code"
        )


def new_seed() -> str:
    """A random seed of 160 bits, as RFC 4226 (section 4) recommends."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


def enrolment(seed: str, issuer: str, account: str) -> Enrolment:
    """A seed with what an authenticator app shows beside its codes."""
    label = f"{quote(issuer.replace(':', ' '), safe='')}:{quote(account, safe='')}"
    query = {
        "secret": seed,
        "issuer": issuer.replace(":", " "),
        "algorithm": "SHA1",
        "digits": DIGITS,
        "period": STEP_SECONDS,
    }
    return Enrolment(seed, f"otpauth://totp/{label}?{urlencode(query, quote_via=quote)}")


def code_at(seed: str, seconds: int) -> str:
    """The code that an authenticator app shows at this instant (epoch seconds)."""
    return _totp(seed).generate(seconds).decode()


def matching_step(seed: str, code: str, now: int) -> int | None:
    """The time step of the code, one before or behind the present one at most; None for none."""
    if not _CODE.fullmatch(code):
        return None
    found = None
    for step in _steps(now):
        try:
            _totp(seed).verify(code.encode(), step * STEP_SECONDS)
        except InvalidToken:
            continue
        found = step
    return found


def check_pin(pin: str) -> None:
    """Raise ValueError unless this may become somebody's PIN."""
    if not _PIN.fullmatch(pin):
        raise ValueError("The PIN needs 6 to 12 digits, and nothing else")
    steps = {(int(b) - int(a)) % 10 for a, b in pairwise(pin)}
    if len(steps) == 1 and steps <= {0, 1, 9}:
        raise ValueError("The PIN must not be one digit repeated, nor digits in a row")


def set_pin(store: AuthStore, user: User, pin: str) -> None:
    """Ask for this PIN at the next login. Raises ValueError for one that is too simple."""
    check_pin(pin)
    _put(store, user, "pin", hash_password(pin), None)


def set_totp(
    store: AuthStore, ring: Keyring, user: User, seed: str, used_step: int | None = None
) -> None:
    """Ask for codes of this seed at the next login; `used_step` and earlier ones are used up."""
    _put(store, user, "totp", ring.wrap(user.tenant, seed), used_step)


def accept(store: AuthStore, ring: Keyring, tenant: str, factor: SecondFactor, code: str) -> bool:
    """Whether this is the user's PIN, or a code of the present that was not accepted before.
    Blanks that people type between digits do not count."""
    code = "".join(code.split())
    if factor.kind == "pin":
        return check_password(factor.secret, code)
    step = matching_step(ring.unwrap(tenant, factor.secret), code, clock.now())
    return step is not None and store.factors.use_step(tenant, factor, step)


def _put(
    store: AuthStore, user: User, kind: FactorKind, secret: str, last_step: int | None
) -> None:
    factor = SecondFactor(user.user_id, kind, secret, last_step, clock.now())
    store.factors.put(user.tenant, factor)


def _totp(seed: str) -> TOTP:
    key = base64.b32decode(seed + "=" * (-len(seed) % 8))
    return TOTP(key, DIGITS, hashes.SHA1(), STEP_SECONDS, enforce_key_length=False)  # noqa: S303


def _steps(now: int) -> Iterator[int]:
    present = now // STEP_SECONDS
    yield from range(max(0, present - STEPS_EITHER_SIDE), present + STEPS_EITHER_SIDE + 1)
