"""Every fault is what it says: what was executed is executed once, and its key tells the truth afterwards."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import httpx
import pytest

from deploy.stockhouse.faults import UNEXECUTED, Fault
from tests.stockhouse.client import Client, client_of
from tests.stockhouse.process import running

LOST = {Fault.RESET_BEFORE, Fault.RESET_AFTER, Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER}
CALLS = ["reserve", "extend", "confirm", "restock"]


def _thing(name: str) -> str:
    return str(uuid5(NAMESPACE_OID, name))


def _body(call: str, sku: str, hold: str, client: Client) -> dict[str, Any]:
    lines = {"lines": [{"sku": sku, "quantity": 1}]}
    more: dict[str, dict[str, Any]] = {
        "reserve": {**lines, "until": client.in_minutes(10)},
        "extend": {"until": client.in_minutes(20)},
        "restock": {**lines, "reservation_id": hold, "request_id": "r-1"},
    }
    return {"order_id": "A-1", **more.get(call, {})}


def _prepare(call: str, sku: str, hold: str, client: Client) -> None:
    client.stock({sku: 5})
    for before in CALLS[: CALLS.index(call)] if call in CALLS else CALLS[:1]:
        assert client.call(before, _body(before, sku, hold, client), thing=hold).status == 200


@pytest.mark.parametrize("call", [*CALLS, "release"])
@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.SLOW])
def test_a_fault_hits_the_first_call_of_a_key_and_its_second_tells_the_truth(
    client: Client, fault: Fault, call: str
) -> None:
    sku = f"SKU-FAULT-{fault}-ON-{call.upper()}-x"
    hold = _thing(f"{fault} {call}")
    thing = _thing(f"{fault} {call} back") if call == "restock" else hold
    _prepare(call, sku, hold, client)
    before = len(client.effects(hold)) if call != "reserve" else 0
    body, key = _body(call, sku, hold, client), f"{fault} {call}".replace(" ", "-")

    path = f"/v1/restocks/{thing}" if call == "restock" else f"/v1/holds/{thing}"
    path += "" if call in {"reserve", "restock"} else f"/{call}"
    _meets(client, fault, "PUT" if call == "reserve" else "POST", path, json=body, headers={"Idempotency-Key": key})

    executed = [one for one in client.ledger()["holds"] if one["reservation_id"] == hold]
    assert (len(executed[0]["effects"]) if executed else 0) == before + (fault not in UNEXECUTED)
    assert client.call(call, body, key=key, thing=thing).status == 200
    assert client.effects(hold)[-1] == (call, key)
    assert len(client.effects(hold)) == before + 1, "it was done once"


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.SLOW])
def test_a_look_up_has_faults_too(client: Client, fault: Fault) -> None:
    sku, hold = f"SKU-FAULT-{fault}-ON-LOOKUP", _thing(f"{fault} lookup")
    _prepare("confirm", sku, hold, client)

    _meets(client, fault, "GET", f"/v1/holds/{hold}")

    assert client.call("hold", thing=hold).word == "held"


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.SLOW])
def test_in_a_batch_a_fault_hits_its_own_call(client: Client, fault: Fault) -> None:
    sku = f"SKU-FAULT-{fault}-ON-RESERVE"
    client.stock({sku: 1, "WELL": 100})
    bad, good = _thing(f"{fault} bad"), _thing(f"{fault} good")
    calls = [
        {"call": "reserve", "key": f"{name}-{fault}", "id": thing, "body": _body("reserve", what, thing, client)}
        for name, thing, what in (("bad", bad, sku), ("good", good, "WELL"))
    ]

    response = client.http.post("/v1/batch", json={"calls": calls})
    answers = {answer["key"]: answer for answer in response.json()["answers"]}

    assert answers[f"good-{fault}"]["status"] == 200
    hit = answers.get(f"bad-{fault}")
    if fault in LOST or fault is Fault.TRUNCATED:
        assert hit is None
    else:
        assert hit is not None
        assert hit["status"] == {
            Fault.BROKEN_AFTER: 500,
            Fault.UNAVAILABLE: 503,
            Fault.TOO_MANY: 429,
            Fault.HTML: 502,
        }.get(fault, 200)
        assert hit["body"] != client.call("hold", thing=bad).body
    assert (client.shelf(sku)[1] == 1) == (fault not in UNEXECUTED)


def test_an_always_fault_hits_every_call(client: Client) -> None:
    sku = "SKU-FAULT-429-ALWAYS"
    client.stock({sku: 1})
    body = _body("reserve", sku, _thing("always"), client)

    refused = [client.call("reserve", body, key="always", thing=_thing("always")) for _ in range(3)]

    assert {(answer.word, answer.headers["retry-after"]) for answer in refused} == {("too_many", "1")}
    assert client.shelf(sku) == (1, 0, 0)


def test_strikes_survive_a_restart(tmp_path: Any) -> None:
    sku, thing = "SKU-FAULT-503", _thing("strikes")
    with running(tmp_path / "j") as first, client_of(first.address) as client:
        client.stock({sku: 1})
        body = _body("reserve", sku, thing, client)
        assert client.call("reserve", body, key="k", thing=thing).word == "unavailable"
        first.kill()
    with running(tmp_path / "j") as second, client_of(second.address) as client:
        assert client.call("reserve", body, key="k", thing=thing).word == "held"


def test_a_share_of_all_calls_fails_the_same_ones_in_any_order(client: Client) -> None:
    client.stock({"SHARED": 1000})
    until = client.in_minutes(10)

    def statuses(order: int) -> list[int]:
        client.faults(share=0.4, seed=7, kinds=["429", "503"])

        def call(number: int) -> tuple[int, int]:
            thing = _thing(f"share {number}")
            return number, client.reserve({"SHARED": 1}, until, thing=thing, key=f"share-{number}").status

        with ThreadPoolExecutor(8) as pool:
            return [status for _, status in sorted(pool.map(call, range(100)[::order]))]

    first, second = statuses(1), statuses(-1)
    client.faults(share=0)

    assert first == second
    assert 20 <= 100 - first.count(200) <= 60
    assert set(first) == {200, 429, 503}


def test_when_it_is_down_every_connection_is_reset(client: Client) -> None:
    client.faults(down=True)
    with pytest.raises(httpx.ReadError):
        client.http.get("/v1")
    assert client.http.get("/inventory/health").status_code == 200
    client.faults(down=False)
    assert client.call("about").status == 200


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {"share": 2},
        {"share": True},
        {"down": 1},
        {"kinds": ["FIRE"]},
        {"kinds": "429"},
        {"seed": "x"},
        {"often": 1},
    ],
)
def test_wrong_faults_are_refused(client: Client, wrong: Any) -> None:
    before = client.faults()
    assert client.http.post("/inventory/faults", json=wrong).status_code == 422
    assert client.faults() == before


def _meets(client: Client, fault: Fault, method: str, path: str, **sent: Any) -> None:
    """Make a call that meets this fault, and check that it looks like it."""
    if fault in LOST:
        waits = "TIMEOUT" in fault
        with pytest.raises(httpx.ReadTimeout if waits else httpx.ReadError):
            client.http.request(method, path, **sent, timeout=1 if waits else 30)
        return
    answer = client.http.request(method, path, **sent)
    match fault:
        case Fault.BROKEN_AFTER:
            assert (answer.status_code, answer.json()["type"]) == (500, "urn:payments:inventory:broken")
        case Fault.UNAVAILABLE:
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:payments:inventory:unavailable")
        case Fault.TOO_MANY:
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        case Fault.HTML:
            assert (answer.status_code, answer.headers["content-type"][:9]) == (502, "text/html")
        case Fault.TRUNCATED:
            with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
                answer.json()
        case Fault.GARBAGE:
            assert answer.json()["state"] == "perhaps"
        case Fault.MIXED_UP:
            assert answer.json()["order_id"] == "OTHER"
        case _:
            pytest.fail(f"no test says how {fault} looks")
