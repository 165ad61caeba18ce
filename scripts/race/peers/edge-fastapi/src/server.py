"""The same edge in FastAPI: checks an order, and answers 202 when the broker has acknowledged it. What differs between runs
comes from the environment."""

import gc
import os
from contextlib import asynccontextmanager
from datetime import datetime, timezone

import uvicorn
from confluent_kafka import KafkaException
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from orders import Order
from publisher import Publisher
from records import Encoder
from strict_json import StrictRoute

TOPIC = os.environ.get("TOPIC", "orders.received")


class Receipt(BaseModel):
    orderId: str
    topic: str
    partition: int
    offset: int
    persisted: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.encoder = Encoder(os.environ.get("REGISTRY", "http://localhost:8081"), TOPIC)
    settings = {"bootstrap.servers": os.environ.get("KAFKA", "localhost:9092")}
    settings |= {"compression.type": os.environ.get("COMPRESSION", "none")}
    if "LINGER_MS" in os.environ:
        settings["linger.ms"] = os.environ["LINGER_MS"]
    if "GC_THRESHOLD" in os.environ:
        # What was made by now stays, and need not be looked at again.
        gc.freeze()
        gc.set_threshold(int(os.environ["GC_THRESHOLD"]))
    with Publisher(TOPIC, settings, os.environ.get("POLL") == "loop") as app.state.publisher:
        yield


app = FastAPI(lifespan=lifespan)
app.router.route_class = StrictRoute


@app.post("/api/orders", status_code=202)
async def post(order: Order) -> Receipt:
    value = app.state.encoder.encode(order, datetime.now(timezone.utc))
    try:
        partition, offset = await app.state.publisher.publish(order.orderId, value)
    except (KafkaException, BufferError) as error:
        raise HTTPException(503, "not accepted by the broker") from error
    return Receipt(orderId=order.orderId, topic=TOPIC, partition=partition, offset=offset, persisted="yes")


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "8080"))
    # The loop and the parser that `uvicorn[standard]` would choose, too. A line for each request is no part of the job.
    uvicorn.run(app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", log_level="warning", access_log=False)
