"""A producer whose delivery reports end futures of the event loop, as Confluent's examples have it: a thread polls it, or the
loop itself does while it waits for reports, which needs no lock between the two and a millisecond more."""

import asyncio
from threading import Thread

from confluent_kafka import KafkaException, Producer

SETTINGS = {
    "acks": "all",
    "enable.idempotence": True,
    # As Java's default, so that others who write or join by key agree on partitions.
    "partitioner": "murmur2_random",
    "message.timeout.ms": 4500,
}


POLL_EVERY = 0.001


class Publisher:
    def __init__(self, topic: str, settings: dict, poll_in_loop: bool):
        self._loop = asyncio.get_running_loop()
        self._topic = topic
        self._producer = Producer(SETTINGS | settings)
        self._ends = False
        self._thread = None if poll_in_loop else Thread(target=self._poll)
        self._polls = False

    def __enter__(self):
        if self._thread:
            self._thread.start()
        return self

    def __exit__(self, *_):
        self._ends = True
        if self._thread:
            self._thread.join()
        self._producer.flush(5)

    def _poll(self):
        while not self._ends:
            self._producer.poll(0.1)

    def _poll_in_loop(self):
        self._producer.poll(0)
        self._polls = len(self._producer) > 0
        if self._polls:
            self._loop.call_later(POLL_EVERY, self._poll_in_loop)

    def publish(self, key: str, value: bytes) -> asyncio.Future:
        """Where the record lies, once the broker has said so."""
        future = self._loop.create_future()

        def end(error, place):
            # A client that has gone has no use for it any more.
            if not future.done():
                future.set_exception(KafkaException(error)) if error else future.set_result(place)

        def delivered(error, message):
            place = (message.partition(), message.offset())
            if self._thread:
                self._loop.call_soon_threadsafe(end, error, place)
            else:
                end(error, place)

        self._producer.produce(self._topic, value, key, on_delivery=delivered)
        if not self._thread and not self._polls:
            self._polls = True
            self._loop.call_later(POLL_EVERY, self._poll_in_loop)
        return future
