"""The tables. Times are Unix milliseconds; identifiers are 32 hex digits."""

from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Dialect, ForeignKey, Integer, Numeric, String, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeEngine

DIGITS = 38
DECIMALS = 18


class ExactDecimal(TypeDecorator[Decimal]):
    """Decimals that come back as they went in: NUMERIC on PostgreSQL, text on SQLite, whose numbers are floats."""

    impl = String(DIGITS + 2)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Numeric(DIGITS, DECIMALS))
        return dialect.type_descriptor(String(DIGITS + 2))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return format(value, "f")

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002 (SQLAlchemy's signature)
        return None if value is None else Decimal(value)


class Base(DeclarativeBase):
    """Every table of the service."""


class User(Base):
    """An account; `email` is in lower case."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    password_digest: Mapped[str] = mapped_column(String(255))
    created_at_ms: Mapped[int] = mapped_column(BigInteger)


class Portfolio(Base):
    """A named list of holdings of one user."""

    __tablename__ = "portfolios"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    created_at_ms: Mapped[int] = mapped_column(BigInteger)
    updated_at_ms: Mapped[int] = mapped_column(BigInteger)
    holdings: Mapped[list["Holding"]] = relationship(
        order_by="Holding.position", cascade="all, delete-orphan", lazy="raise", passive_deletes=True
    )


class Holding(Base):
    """So much of one coin, at its place in the portfolio."""

    __tablename__ = "holdings"

    portfolio_id: Mapped[str] = mapped_column(ForeignKey("portfolios.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    coin: Mapped[str] = mapped_column(String(100))
    quantity: Mapped[Decimal] = mapped_column(ExactDecimal())
