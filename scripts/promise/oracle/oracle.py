"""The oracle: what must become of a POST body, by the contracts alone.

Written from CONTRACTS ("The order, as posted", "The shipped modules") and transforms/modules/README.md, never from the
code of the edge or of the modules; in another language, with exact decimals, so that a misreading would have to be made
twice. It reads the two data files that the README names and the pipeline's parameters, and nothing else.

stdin:  one JSON object a line: {"seq": 7, "content_type": "application/json", "body_hex": "7b7d"}
stdout: one JSON object a line, one of
        {"seq": 7, "refuse": {"status": 422, "rule": "customer is blank"}}
        {"seq": 7, "received": {...}, "placed": {...}}
        {"seq": 7, "received": {...}, "reject": "currency is not an active ISO 4217 code"}
Money is text with two decimals, a time is milliseconds since 1970 or "receipt", the rest is as in the Avro schemas.
"""

import argparse
import datetime
import decimal
import json
import pathlib
import re
import sys
import unicodedata

decimal.getcontext().prec = 200
Decimal = decimal.Decimal

CENT = Decimal("0.01")
MAX_AMOUNT = Decimal("9999999999999.99")
MAX_INT = 2147483647
ORDER_ID = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}"
RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
WHITE_SPACE = frozenset(
    [*map(chr, range(0x09, 0x0E)), *map(chr, range(0x2000, 0x200B))]
    + list("\u0020\u0085\u00a0\u1680\u2028\u2029\u202f\u205f\u3000")
)


class Refused(Exception):
    """The edge must not answer 202."""

    def __init__(self, status, rule):
        super().__init__(rule)
        self.status, self.rule = status, rule


class Rejected(Exception):
    """A module must reject the order."""


class Number(str):
    """A JSON number as its own text."""


# === the edge


def parse(body):
    """The JSON value of the body, its numbers as their own text."""

    def no_twice(pairs):
        if len({name for name, _ in pairs}) != len(pairs):
            raise ValueError("duplicate key")
        return dict(pairs)

    def no_constant(name):
        raise ValueError(f"{name} is no JSON")

    try:
        text = body.decode("utf-8")
        value = json.loads(
            text, object_pairs_hook=no_twice, parse_int=Number, parse_float=Number, parse_constant=no_constant
        )
        for string in strings(value):
            string.encode("utf-8")  # half a surrogate pair is no character
        return value
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"malformed: {error}") from None


def strings(value):
    """Every string in the value, names too."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from strings(member)
    elif isinstance(value, list):
        for member in value:
            yield from strings(member)
    elif isinstance(value, str):
        yield value


def need(condition, rule):
    if not condition:
        raise Refused(422, rule)


def text_of(value, name, shortest, longest):
    need(isinstance(value, str) and not isinstance(value, Number), f"{name} is not a string")
    need(shortest <= len(value) <= longest, f"{name} is too short or too long")
    need("\0" not in value, f"{name} has U+0000 in it")
    return value


def money_of(value, name):
    need(isinstance(value, Number), f"{name} is not a number")
    try:
        amount = Decimal(value)
        exact = amount == amount.quantize(CENT)
    except decimal.InvalidOperation:
        exact = False
    need(exact, f"{name} is not exact in two decimals")
    need(0 <= amount <= MAX_AMOUNT, f"{name} is out of range")
    return abs(amount).quantize(CENT)


def whole_of(value, name, least, most):
    need(isinstance(value, Number), f"{name} is not a number")
    number = Decimal(value)
    need(number == number.to_integral_value() and least <= number <= most, f"{name} is not a whole number in range")
    return int(number)


def item_of(value):
    need(isinstance(value, dict), "an item is not an object")
    need(set(value) == {"sku", "quantity", "unitPrice"}, "an item lacks a member or has one too many")
    return {
        "sku": text_of(value["sku"], "sku", 1, 64),
        "quantity": whole_of(value["quantity"], "quantity", 1, 1_000_000),
        "unit_price": money_of(value["unitPrice"], "unitPrice"),
    }


def pattern_of(pattern):
    def read(value, name):
        need(isinstance(value, str) and not isinstance(value, Number), f"{name} is not a string")
        need(re.fullmatch(pattern, value, re.ASCII), f"{name} breaks its pattern")
        return value

    return read


def customer_of(value, name):
    text_of(value, name, 1, 256)
    need(any(character not in WHITE_SPACE for character in value), f"{name} is blank")
    return value


def email_of(value, name):
    text_of(value, name, 0, 254)
    need(re.fullmatch(r"[^@]+@[^@]+", value, re.DOTALL), f"{name} is no address")
    return value


def items_of(value, name):
    need(isinstance(value, list) and len(value) <= 500, f"{name} is no array of at most 500")
    return [item_of(item) for item in value]


def time_of(value, name):
    """Milliseconds since 1970; what is finer is cut off."""
    text_of(value, name, 0, 40)
    match = RFC3339.fullmatch(value)
    need(match, f"{name} is not RFC 3339 with an offset")
    *parts, fraction, offset = match.groups()
    try:
        local = datetime.datetime(*map(int, parts), tzinfo=datetime.timezone.utc)
    except ValueError:
        raise Refused(422, f"{name} is no time") from None
    millis = int(((fraction or ".0")[1:] + "000")[:3])
    minutes = 0
    if offset not in "Zz":
        need(int(offset[1:3]) < 24 and int(offset[4:]) < 60, f"{name} has an offset that is none")
        minutes = (int(offset[1:3]) * 60 + int(offset[4:])) * (-1 if offset[0] == "-" else 1)
    seconds = (local - EPOCH) // datetime.timedelta(seconds=1) - minutes * 60
    millis += seconds * 1000
    need(946_684_800_000 <= millis < 4_102_444_800_000, f"{name} is out of range")
    return millis


REQUIRED = ("orderId", "amount", "customer")
FIELDS = {
    "orderId": ("order_id", pattern_of(ORDER_ID)),
    "amount": ("amount", money_of),
    "customer": ("customer", customer_of),
    "currency": ("currency", pattern_of(r"[A-Za-z]{3}")),
    "items": ("items", items_of),
    "email": ("email", email_of),
    "country": ("country", pattern_of(r"[A-Za-z]{2}")),
    "channel": ("channel", pattern_of(r"[A-Za-z0-9_-]{1,32}")),
    "createdAt": ("created_at", time_of),
}
DEFAULTS = {"items": [], "createdAt": "receipt"}


def received(body, content_type="application/json"):
    """The order as it must lie in orders.received."""
    if content_type.split(";")[0].strip().lower() != "application/json":
        raise Refused(415, "the content type is not JSON")
    posted = parse(body)
    need(isinstance(posted, dict), "the body is not an object")
    need(set(posted) <= set(FIELDS), "a member too many")
    order = {}
    for name, (column, read) in FIELDS.items():
        need(name in posted or name not in REQUIRED, f"{name} is missing")
        order[column] = read(posted[name], name) if name in posted else DEFAULTS.get(name)
    return order


# === the modules


class Modules:
    """The shipped modules clean 1.0.1 and enrich 1.0.1 with a pipeline's parameters."""

    def __init__(self, parameters, currencies, regions):
        self.sum = parameters.get("clean", {}).get("items.sum", "ignore")
        enrich = parameters.get("enrich", {})
        self.home = enrich.get("home.currency", "USD")
        self.rates = {self.home: Decimal(1)} | {code: Decimal(rate) for code, rate in pairs(enrich.get("rates", ""))}
        bands = enrich.get("bands", "low:0,mid:50,high:500")
        self.bands = [(name, Decimal(bound)) for name, bound in pairs(bands)]
        self.currencies, self.regions = currencies, regions

    def placed(self, order):
        """The order as it must lie in order_placed, without what the processor sets."""
        return self.enrich(self.clean(dict(order)))

    def clean(self, order):
        order["customer"] = clean_customer(order["customer"])
        if not order["customer"]:
            raise Rejected("customer is empty after cleaning")
        if order["currency"] is not None:
            order["currency"] = upper(order["currency"])
            if order["currency"] not in self.currencies:
                raise Rejected("currency is not an active ISO 4217 code")
        if order["country"] is not None:
            order["country"] = upper(order["country"])
        if order["email"] is not None:
            order["email"] = clean_email(order["email"])
        if order["channel"] is not None:
            order["channel"] = lower(order["channel"])
        if self.sum == "reject" and order["items"]:
            total = sum(item["quantity"] * item["unit_price"] for item in order["items"])
            if total != order["amount"]:
                raise Rejected(f"items add up to {total:.2f}, the amount is {order['amount']:.2f}")
        return order

    def enrich(self, order):
        if order["currency"] is None:
            order["currency"] = self.home
        order["home_currency"] = self.home
        order["amount_home"] = self.convert(order)
        region = self.regions.get(order["country"])
        order["region"] = None if region in (None, "NONE") else region
        order["item_count"] = sum(item["quantity"] for item in order["items"])
        if order["item_count"] > MAX_INT:
            raise Rejected(f"item_count would be {order['item_count']}, outside of {MAX_INT}")
        _, at, domain = (order["email"] or "").rpartition("@")
        order["email_domain"] = domain if at and domain else None
        order["value_band"] = None
        if order["amount_home"] is not None:
            for name, bound in self.bands:
                if bound <= order["amount_home"]:
                    order["value_band"] = name
        return order

    def convert(self, order):
        rate = self.rates.get(order["currency"])
        if rate is None:
            return None
        home = (order["amount"] * rate).quantize(CENT, rounding=decimal.ROUND_HALF_EVEN)
        if abs(home) > MAX_AMOUNT:
            raise Rejected(f"amount_home would be {home:.2f}, outside of {MAX_AMOUNT}")
        return home


def pairs(text):
    """NAME:NUMBER, comma-separated, white space around each ignored."""
    for pair in text.split(",") if text.strip() else []:
        name, _, number = pair.partition(":")
        yield name.strip(), number.strip()


def upper(text):
    return "".join(chr(ord(c) - 32) if "a" <= c <= "z" else c for c in text)


def lower(text):
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text)


def trim(text):
    kept = [at for at, character in enumerate(text) if character not in WHITE_SPACE]
    return text[kept[0] : kept[-1] + 1] if kept else ""


def clean_customer(text):
    text = unicodedata.normalize("NFC", text)
    text = "".join(character for character in text if unicodedata.category(character) != "Cc")
    words = "".join(" " if character in WHITE_SPACE else character for character in text).split(" ")
    return " ".join(word for word in words if word)


def clean_email(text):
    local, at, domain = trim(text).rpartition("@")
    return local + at + (lower(domain) if at else domain)


# === files, and the conversation


def pipeline_parameters(path):
    """The parameters of each alias, by the name of its module."""
    config = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))["config"]
    parameters = {}
    for alias in config["transforms"].split(","):
        prefix = f"transforms.{alias.strip()}."
        own = {key[len(prefix) :]: value for key, value in config.items() if key.startswith(prefix)}
        parameters[own.pop("type").partition("@")[0]] = own
    return parameters


def data_lines(path):
    """The lines that are neither empty nor a comment."""
    lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def load(pipeline, tables):
    """The modules as the pipeline's file configures them."""
    tables = pathlib.Path(tables)
    currencies = set(data_lines(tables / "clean" / "currencies.txt"))
    regions = dict(line.split(",", 1) for line in data_lines(tables / "enrich" / "regions.csv"))
    return Modules(pipeline_parameters(pipeline), currencies, regions)


def judge(modules, body, content_type="application/json"):
    """The judgement of one body, without its seq."""
    try:
        order = received(body, content_type)
    except Refused as refused:
        return {"refuse": {"status": refused.status, "rule": refused.rule}}
    try:
        placed = modules.placed(order)
        # Set by the processor from the line items, which modules leave as they are.
        placed["items_json"] = placed["items"]
        return {"received": order, "placed": placed}
    except Rejected as rejected:
        return {"received": order, "reject": str(rejected)}


def main():
    arguments = argparse.ArgumentParser(description="What must become of a POST body, by the contracts alone.")
    arguments.add_argument("--pipeline", required=True, help="the pipeline's file, connectors/orders-transforms.json")
    arguments.add_argument("--tables", required=True, help="the folder with the modules' tables, transforms/modules")
    arguments = arguments.parse_args()
    modules = load(arguments.pipeline, arguments.tables)
    for line in sys.stdin:
        question = json.loads(line)
        verdict = judge(modules, bytes.fromhex(question["body_hex"]), question["content_type"])
        json.dump({"seq": question["seq"], **verdict}, sys.stdout, default=lambda amount: f"{amount:.2f}")
        sys.stdout.write("\n")


if __name__ == "__main__":
    main()
