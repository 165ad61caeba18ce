"""The oracle's own tests: examples worked out by hand from the contracts."""

import json
import unittest

import oracle

CURRENCIES = {"USD", "EUR", "GBP", "JPY"}
REGIONS = {"DE": "EMEA", "US": "AMER", "AQ": "NONE"}


def modules(**enrich):
    enrich = {name.replace("_", "."): value for name, value in enrich.items()}
    clean = {"items.sum": enrich.pop("items.sum", "ignore")}
    return oracle.Modules({"clean": clean, "enrich": enrich}, CURRENCIES, REGIONS)


def order(**fields):
    return json.dumps({"orderId": "a", "amount": 1, "customer": "c", **fields}).encode()


def placed(body, **enrich):
    return oracle.judge(modules(**enrich), body)["placed"]


class Edge(unittest.TestCase):
    def check(self, body, status):
        verdict = oracle.judge(modules(), body)
        self.assertEqual(verdict.get("refuse", {}).get("status"), status, (body, verdict))

    def test_a_complete_order_is_taken(self):
        self.check(b'{"orderId":"my-order-123","amount":99.99,"customer":"john_doe"}', None)

    def test_what_is_not_one_json_value_is_malformed(self):
        for body in [b"", b"{", b"{}{}", b'{"a":1,"a":2}', b'{"a":NaN}', b'"\xff"', b'"\\ud800"', b'{"a":01}', b'"\x01"']:
            self.check(body, 400)

    def test_each_rule_is_held(self):
        for fields in [
            {"orderId": ""}, {"orderId": "-a"}, {"orderId": "a\n"}, {"orderId": "a" * 129}, {"orderId": 1}, {"amount": "1"},
            {"amount": -0.01}, {"amount": 10000000000000}, {"amount": True}, {"amount": None}, {"customer": ""},
            {"customer": "\u3000\t "}, {"customer": "a" * 257}, {"customer": "a\0"}, {"currency": "EU"}, {"currency": "EUR\n"},
            {"email": "a"}, {"email": "@a"}, {"email": "a@"}, {"email": "a@b@c"}, {"email": "a" * 253 + "@b"},
            {"country": "DEU"}, {"channel": ""}, {"channel": "é"}, {"channel": "a" * 33}, {"extra": 1}, {"items": [{}]},
            {"items": [{"sku": "a", "quantity": 1.5, "unitPrice": 1}]}, {"items": [{"sku": "", "quantity": 1, "unitPrice": 1}]},
            {"createdAt": "2026-01-01"}, {"createdAt": "2026-01-01T00:00:00"}, {"createdAt": "2026-02-30T00:00:00Z"},
            {"createdAt": "1999-12-31T23:59:59.999Z"}, {"createdAt": "2100-01-01T00:00:00Z"},
        ]:
            self.check(order(**fields), 422)
        self.check(b"[]", 422)
        self.check(b'{"orderId":"a","amount":1}', 422)

    def test_amounts_are_read_from_their_text(self):
        for text, amount in [("1e2", "100.00"), ("12.50", "12.50"), ("0.125e2", "12.50"), ("-0.0", "0.00"),
                             ("9999999999999.990", "9999999999999.99")]:
            body = f'{{"orderId":"a","customer":"c","amount":{text}}}'.encode()
            self.assertEqual(f"{oracle.received(body)['amount']:.2f}", amount)
        for text in ["0.001", "1e-3", "9999999999999.995", "1e300"]:
            self.check(f'{{"orderId":"a","customer":"c","amount":{text}}}'.encode(), 422)

    def test_times_are_utc_milliseconds(self):
        for text, millis in [
            ("1970-01-01T00:00:00Z", None), ("2000-01-01T00:00:00Z", 946684800000), ("2000-01-01T00:30:00+00:30", 946684800000),
            ("1999-12-31T23:30:00.5-00:30", 946684800500), ("2024-02-29T00:00:00.1239Z", 1709164800123),
        ]:
            verdict = oracle.judge(modules(), order(createdAt=text))
            self.assertEqual(verdict.get("received", {}).get("created_at"), millis, text)

    def test_what_is_absent_has_its_default(self):
        taken = oracle.received(order())
        self.assertEqual((taken["items"], taken["created_at"], taken["email"]), ([], "receipt", None))


class Clean(unittest.TestCase):
    def test_customers(self):
        for customer, clean in [
            ("  john   doe ", "john doe"), ("a\tb", "ab"), ("a\r\n b", "a b"), ("Zoe\u0308", "Zo\u00eb"), ("e\u0001\u0301", "e\u0301"),
            ("\u212b", "\u00c5"), ("a\u00a0\u3000b", "a b"), ("a\u200bb\ufeff", "a\u200bb\ufeff"), ("a\u0085b", "ab"),
            ("\u0958", "\u0915\u093c"), (" \u0001 x", "x"),
        ]:
            self.assertEqual(placed(order(customer=customer))["customer"], clean)

    def test_nothing_left_is_rejected(self):
        for customer in ["\u0001", "\u0001 \u0002", "\u007f\u0085\u009f"]:
            self.assertEqual(oracle.judge(modules(), order(customer=customer))["reject"], "customer is empty after cleaning")

    def test_codes(self):
        self.assertEqual(placed(order(currency="eUr"))["currency"], "EUR")
        self.assertEqual(oracle.judge(modules(), order(currency="dem"))["reject"], "currency is not an active ISO 4217 code")
        self.assertEqual(placed(order(country="de", channel="WEB"))["channel"], "web")

    def test_emails(self):
        for email, clean, domain in [
            (" John@EXAMPLE.Com ", "John@example.com", "example.com"), ("a@MÜ", "a@mÜ", "mÜ"), ("a@ ", "a@", None), (" @B", "@b", "b"),
        ]:
            got = placed(order(email=email))
            self.assertEqual((got["email"], got["email_domain"]), (clean, domain))

    def test_sums_are_checked_when_asked(self):
        items = [{"sku": "a", "quantity": 3, "unitPrice": 0.1}]
        both = [oracle.judge(modules(items_sum="reject"), order(amount=amount, items=items)) for amount in (0.3, 0.31)]
        self.assertIn("placed", both[0])
        self.assertEqual(both[1]["reject"], "items add up to 0.30, the amount is 0.31")


class Enrich(unittest.TestCase):
    def test_home_amounts_round_half_to_even(self):
        for amount, rate, home in [("0.25", "0.5", "0.12"), ("0.27", "0.5", "0.14"), ("100", "1.08", "108.00"), ("0.01", "0.4", "0.00")]:
            body = f'{{"orderId":"a","customer":"c","currency":"EUR","amount":{amount}}}'.encode()
            self.assertEqual(f"{placed(body, rates=f' EUR : {rate} ,GBP:1.27')['amount_home']:.2f}", home)

    def test_no_rate_is_null(self):
        got = placed(order(currency="JPY"), rates="EUR:1.08")
        self.assertEqual((got["amount_home"], got["value_band"], got["home_currency"]), (None, None, "USD"))

    def test_above_the_limit_is_rejected(self):
        verdict = oracle.judge(modules(rates="GBP:1.27"), order(currency="GBP", amount=9000000000000))
        self.assertEqual(verdict["reject"], "amount_home would be 11430000000000.00, outside of 9999999999999.99")

    def test_bands_are_inclusive(self):
        for amount, band in [(0, "low"), (49.99, "low"), (50, "mid"), (499.99, "mid"), (500, "high")]:
            self.assertEqual(placed(order(amount=amount))["value_band"], band)
        self.assertEqual(placed(order(amount=1), bands="a:2")["value_band"], None)

    def test_regions_and_counts(self):
        for country, region in [("de", "EMEA"), ("AQ", None), ("ZZ", None)]:
            self.assertEqual(placed(order(country=country))["region"], region)
        items = [{"sku": "a", "quantity": 2.0, "unitPrice": 1}, {"sku": "b", "quantity": 1e6, "unitPrice": 1}]
        self.assertEqual(placed(order(items=items))["item_count"], 1000002)
        self.assertEqual(placed(order())["currency"], "USD")


if __name__ == "__main__":
    unittest.main()
