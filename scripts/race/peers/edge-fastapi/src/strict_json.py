"""Bodies read as the schema means them, with FastAPI's way to a request of one's own: numbers are exact, nothing is there
twice, and what is no number is none."""

import json
from decimal import Decimal

from fastapi import Request
from fastapi.routing import APIRoute


def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is there twice")
    return members


def refuse(constant: str):
    raise ValueError(f"{constant} is no number")


# Made once: json.loads would make a decoder for each body.
decoder = json.JSONDecoder(
    object_pairs_hook=unique, parse_float=Decimal, parse_int=Decimal, parse_constant=refuse
)


class StrictRequest(Request):
    async def json(self):
        return decoder.decode((await self.body()).decode())


class StrictRoute(APIRoute):
    def get_route_handler(self):
        handle = super().get_route_handler()

        async def handler(request: Request):
            return await handle(StrictRequest(request.scope, request.receive))

        return handler
