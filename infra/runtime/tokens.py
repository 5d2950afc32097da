"""Who may speak to the HTTP side: tokens with a name and a role, of which only a hash is kept."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias, get_args

from sqlalchemy import Engine, RowMapping, insert, select, update
from sqlalchemy.exc import IntegrityError

from infra.runtime.events import Event, write_event
from infra.runtime.state_database import reading, writing
from infra.runtime.state_tables import tokens
from schemas.errors import StateError, UsageError, listed

Role: TypeAlias = Literal["read", "operate", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""From the smallest to the greatest; each may do what those before it may."""

TOKEN = re.compile(r"sereno_([1-9][0-9]{0,8})_([0-9a-f]{64})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_OURS = "sereno"
_NOBODY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Token:
    """One row of `tokens`, without its secret, which nobody has but the bearer.

    Args:
        id: Grows with each row; stands in the token's text.
        name: The actor of all that is done with it.
        role: What may be done with it.
        actor: Who made it.
        at: When, UTC.
        expires_at: From then on it is worth nothing, UTC; never where none is given.
        revoked_at: Since then it is worth nothing, UTC.
    """

    id: int
    name: str
    role: Role
    actor: str
    at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def may(self, role: Role) -> bool:
        """Whether it may do what a role may."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def standing(self, now: datetime | None = None) -> Literal["valid", "expired", "revoked"]:
        """What it is worth."""
        if self.revoked_at is not None:
            return "revoked"
        moment = now or datetime.now(UTC)
        return "expired" if self.expires_at is not None and self.expires_at <= moment else "valid"


class TokenStore:
    """The part of `State` that knows tokens.

    Args:
        engine: The state database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add_token(self, name: str, role: Role, *, actor: str, expires_at: datetime | None = None) -> tuple[Token, str]:
        """Make a token.

        Args:
            name: Its name; the actor of all that is done with it.
            role: What may be done with it.
            actor: Who makes it.
            expires_at: Until when it is valid; for ever where none is given.

        Returns:
            The token, and its text: 256 random bits that are kept nowhere.

        Raises:
            UsageError: The name cannot be one, or stands for a token that is not revoked.
        """
        _check_name(name)
        secret = secrets.token_hex(32)
        row = {
            "name": name,
            "role": role,
            "digest": _digest(secret),
            "actor": actor,
            "at": datetime.now(UTC),
            "expires_at": expires_at,
        }
        said = Event(
            "token_added",
            f"{actor} made the token {name} (role {role}).",
            actor=actor,
            detail={"name": name, "role": role},
        )
        try:
            with writing(self._engine) as connection:
                made = connection.execute(insert(tokens).values(row).returning(*tokens.c)).mappings().one()
                write_event(connection, said)
        except StateError as error:
            if isinstance(error.__cause__, IntegrityError):
                raise UsageError(
                    f"There is a token {name} already.",
                    hint=f"take another name, or first: sereno tokens revoke {name}",
                ) from None
            raise
        token = _as_token(made)
        return token, f"sereno_{token.id}_{secret}"

    def tokens(self) -> list[Token]:
        """Return all tokens, oldest first, the revoked ones included."""
        with reading(self._engine) as connection:
            return [_as_token(row) for row in connection.execute(select(tokens).order_by(tokens.c.id)).mappings()]

    def revoke_token(self, name: str, *, actor: str) -> Token:
        """Make a token worthless, from now on.

        Raises:
            UsageError: No token of this name is left to revoke.
        """
        query = (
            update(tokens)
            .where(tokens.c.name == name, tokens.c.revoked_at.is_(None))
            .values(revoked_at=datetime.now(UTC))
            .returning(*tokens.c)
        )
        said = Event("token_revoked", f"{actor} revoked the token {name}.", actor=actor, detail={"name": name})
        with writing(self._engine) as connection:
            row = connection.execute(query).mappings().first()
            if row is not None:
                write_event(connection, said)
        if row is None:
            known = [token.name for token in self.tokens() if token.revoked_at is None]
            raise UsageError(
                f"There is no token {name[:64]!r} to revoke; there are: {listed(known) or 'none'}.",
                hint="see them with: sereno tokens list",
            )
        return _as_token(row)

    def token_of(self, text: str, now: datetime | None = None) -> Token | None:
        """Return the token of a text; None where there is none, or it is expired or revoked."""
        found = TOKEN.fullmatch(text)
        number, secret = (int(found[1]), found[2]) if found else (0, "")
        with reading(self._engine) as connection:
            row = connection.execute(select(tokens).where(tokens.c.id == number)).mappings().first()
        kept = row["digest"] if row is not None else _NOBODY
        same = hmac.compare_digest(kept, _digest(secret))
        if row is None or not found or not same:
            return None
        token = _as_token(row)
        return token if token.standing(now) == "valid" else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name == _OURS:
        raise UsageError(
            f"{name[:64]!r} cannot be a token's name.",
            hint="begin with a letter or digit, then letters, digits, '.', '_', '@', '-'; at most 64 in all, and not "
            f"{_OURS}, which is the service's own",
        )


def _as_token(row: RowMapping) -> Token:
    return Token(**{name: value for name, value in row.items() if name != "digest"})
