"""A consumer of another make: reads order_placed with Confluent's Python client and its AvroDeserializer.

As any user would: schemas come from the registry's Confluent API by the id in each record, nothing of ours is imported.
stdout: one JSON object a record: {"partition", "offset", "key", "modules", "row"}; money as text, times in milliseconds.
"""

import argparse
import datetime
import decimal
import json
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
DEADLINE = 120  # seconds


def plain(value):
    """What JSON has no form for, as the checker compares it."""
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, datetime.datetime):
        return (value - EPOCH) // datetime.timedelta(milliseconds=1)
    raise TypeError(f"{value!r} was not expected")


def records(consumer, topic):
    """Every committed record of the topic up to its end."""
    partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
    left, end = set(partitions), time.monotonic() + DEADLINE
    while left:
        if time.monotonic() > end:
            raise TimeoutError(f"partitions {left} of {topic} did not end in {DEADLINE} s")
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error() is None:
            yield message
        elif message.error().code() == KafkaError._PARTITION_EOF:
            left.discard(message.partition())
        else:
            raise RuntimeError(message.error())


def main():
    arguments = argparse.ArgumentParser(description="Reads order_placed with Confluent's Python client.")
    arguments.add_argument("--kafka", required=True)
    arguments.add_argument("--registry", required=True)
    arguments.add_argument("--topic", default="order_placed")
    arguments = arguments.parse_args()
    deserialize = AvroDeserializer(SchemaRegistryClient({"url": arguments.registry}))
    settings = {"group.id": "promise-other-make", "enable.auto.commit": False, "enable.partition.eof": True}
    consumer = Consumer({"bootstrap.servers": arguments.kafka, "isolation.level": "read_committed", **settings})
    for message in records(consumer, arguments.topic):
        row = deserialize(message.value(), SerializationContext(arguments.topic, MessageField.VALUE))
        row["items_json"] = json.loads(row["items_json"]) if row["items_json"] else None
        modules = dict(message.headers() or []).get("orderflow.modules", b"").decode()
        found = {"partition": message.partition(), "offset": message.offset(), "key": message.key().decode()}
        json.dump({**found, "modules": modules, "row": row}, sys.stdout, default=plain)
        sys.stdout.write("\n")
    consumer.close()


if __name__ == "__main__":
    main()
