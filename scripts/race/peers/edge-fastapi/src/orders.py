"""An order as posted: the rules of schemas/order.schema.json. Every number of a body is read as an exact decimal."""

import re
from datetime import datetime, timezone
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

FROM = datetime(2000, 1, 1, tzinfo=timezone.utc)
BEFORE = datetime(2100, 1, 1, tzinfo=timezone.utc)
# datetime also takes a date alone and a time without an offset, RFC 3339 does not.
RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)


def in_range(text: str) -> str:
    if not RFC_3339.fullmatch(text) or not FROM <= parse_time(text) < BEFORE:
        raise ValueError("must be an RFC 3339 time from 2000-01-01 to before 2100-01-01")
    return text


def parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text.upper())


Money = Annotated[Decimal, Field(strict=True, ge=0, le=Decimal("9999999999999.99"), max_digits=15, decimal_places=2)]


class Item(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sku: Annotated[str, Field(strict=True, min_length=1, max_length=64, pattern=r"^[^\x00]*$")]
    quantity: Annotated[Decimal, Field(strict=True, ge=1, le=1_000_000, decimal_places=0)]
    unitPrice: Money


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    orderId: Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")]
    amount: Money
    customer: Annotated[str, Field(strict=True, max_length=256, pattern=r"^[^\x00]*[^\x00\s][^\x00]*$")]
    # What is not there is None; a null in the body is no text.
    currency: Annotated[str, Field(strict=True, pattern="^[A-Za-z]{3}$")] = None
    items: Annotated[list[Item], Field(strict=True, max_length=500)] = []
    email: Annotated[str, Field(strict=True, max_length=254, pattern=r"^[^@\x00]+@[^@\x00]+$")] = None
    country: Annotated[str, Field(strict=True, pattern="^[A-Za-z]{2}$")] = None
    channel: Annotated[str, Field(strict=True, pattern="^[A-Za-z0-9_-]{1,32}$")] = None
    createdAt: Annotated[str, Field(strict=True, max_length=40), AfterValidator(in_range)] = None
