"""From the checked body to the Avro record in Confluent's framing: a zero byte, four bytes of the schema's id, the datum."""

import json
import struct
import urllib.request
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from io import BytesIO

from fastavro import parse_schema, schemaless_writer

from orders import Order, parse_time

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MILLISECOND = timedelta(milliseconds=1)
CENT = Decimal("0.01")


class Encoder:
    """The schema is the registry's, looked up once, at the start; never registered from here."""

    def __init__(self, registry: str, topic: str):
        with urllib.request.urlopen(f"{registry}/subjects/{topic}-value/versions/latest", timeout=10) as answer:
            latest = json.load(answer)
        self._prefix = struct.pack(">bI", 0, latest["id"])
        self._schema = parse_schema(json.loads(latest["schema"]))

    def encode(self, order: Order, now: datetime) -> bytes:
        buffer = BytesIO()
        buffer.write(self._prefix)
        schemaless_writer(buffer, self._schema, to_record(order, now))
        return buffer.getvalue()


def to_record(order: Order, now: datetime) -> dict:
    return {
        "order_id": order.orderId,
        "amount": order.amount.quantize(CENT),
        "customer": order.customer,
        "currency": order.currency,
        "items": [
            {"sku": item.sku, "quantity": int(item.quantity), "unit_price": item.unitPrice.quantize(CENT)}
            for item in order.items
        ],
        "email": order.email,
        "country": order.country,
        "channel": order.channel,
        "created_at": millis(now if order.createdAt is None else parse_time(order.createdAt)),
        "received_at": millis(now),
    }


def millis(time: datetime) -> int:
    return (time - EPOCH) // MILLISECOND
