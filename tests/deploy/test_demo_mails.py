"""The mails of a demo: a real server takes them, and each customer is told exactly once what the script says."""

import smtplib
from collections.abc import Sequence
from dataclasses import replace
from email.message import EmailMessage
from typing import Final
from uuid import UUID

import pytest

from deploy.demo.kinds import ORDERS_MIN
from deploy.demo.mailbox import HOST, Mail, listening
from deploy.demo.script import Script, address_of, customer_file, write_script
from deploy.demo.stories import Cancel, Refund
from deploy.demo.telling import Told, mail_problems, one_of_each
from deploy.running import id_source

NEW_ID: Final = id_source(1)
SCRIPT: Final = write_script(ORDERS_MIN, 1)


def told_as_scripted(script: Script) -> list[Told]:
    return [
        Told(NEW_ID(), order.order_id, order.confirmed["customer_id"], kind, sent=True)
        for order in script.orders
        for kind, count in order.story.mails.items()
        for _ in range(count)
    ]


def mail(event_id: UUID, recipient: str) -> Mail:
    message = EmailMessage()
    message["Subject"] = "about your order"
    message.set_content("Hello")
    return Mail(event_id, recipient, message)


def mails_of(told: Sequence[Told]) -> list[Mail]:
    return [mail(one.event_id, address_of(one.customer_id)) for one in told]


def test_one_mail_for_each_thing_that_is_told_is_right_and_every_kind_of_it_is_shown() -> None:
    told = told_as_scripted(SCRIPT)
    assert len(told) > 10
    assert list(mail_problems(SCRIPT, told, mails_of(told))) == []
    assert one_of_each(told, mails_of(told)).keys() == {one.kind for one in told}
    assert {"PAYMENT_FAILED", "ITEMS_UNAVAILABLE", "ACTION_REQUIRED", "REFUNDED"} <= {one.kind for one in told}


def test_a_mail_that_is_missing_doubled_or_another_customers_is_wrong() -> None:
    told = told_as_scripted(SCRIPT)
    first, second, third = told[:3]
    mails = mails_of(told)
    wrong = [mails[1], mails[1], replace_recipient(mails[2]), *mails[3:], mail(NEW_ID(), "nobody@customers.example")]
    problems = dict(mail_problems(SCRIPT, told, wrong))
    assert problems[first.order_id].startswith("0 mails say")
    assert problems[second.order_id].startswith("2 mails say")
    assert "went to another customer" in problems[third.order_id]
    assert "1 mails that nobody asked for" in problems.values()


def replace_recipient(found: Mail) -> Mail:
    return found._replace(recipient="another@customers.example")


@pytest.mark.parametrize("more", [1, -1])
def test_a_customer_who_is_told_more_or_less_than_the_script_says_is_wrong(more: int) -> None:
    told = told_as_scripted(SCRIPT)
    changed = [*told, told[0]._replace(event_id=NEW_ID())] if more > 0 else told[1:]
    ((order_id, problem),) = mail_problems(SCRIPT, changed, mails_of(changed))
    assert order_id == told[0].order_id
    assert problem.startswith("its customer was told ")


def test_a_paid_order_of_which_nobody_asks_anything_more_tells_its_customer_nothing() -> None:
    unasked = [o for o in SCRIPT.orders if o.story.cancel is Cancel.NEVER and o.story.refund is Refund.NOTHING]
    quiet = [o for o in unasked if all(end.failure is None and not end.asks for end in o.story.ends)]
    assert quiet
    assert {sum(order.story.mails.values()) for order in quiet} == {0}
    asked = replace(SCRIPT, orders=[o for o in SCRIPT.orders if any(end.asks for end in o.story.ends)])
    assert all(order.story.mails["ACTION_REQUIRED"] for order in asked.orders)


def test_the_mail_server_takes_what_comes_over_smtp() -> None:
    event_id = NEW_ID()
    with listening() as mailbox:
        message = EmailMessage()
        message["From"], message["To"] = "shop@shop.example", "a@customers.example"
        message["Message-ID"], message["Subject"] = f"<{event_id}@shop.example>", "Grüße"
        message.set_content("Your order")
        message.add_alternative("<p>Your order</p>", subtype="html")
        with smtplib.SMTP(HOST, mailbox.port) as client:
            client.send_message(message)
            message.replace_header("Message-ID", "<another>")
            client.send_message(message)
        first, second = mailbox.mails
    assert (first.event_id, first.recipient, first.subject) == (event_id, "a@customers.example", "Grüße")
    assert first.text.strip() == "Your order"
    assert second.event_id is None
    with pytest.raises(OSError):  # noqa: PT011 - any: nobody listens
        smtplib.SMTP(HOST, mailbox.port)


def test_every_customer_of_the_script_has_an_address() -> None:
    lines = customer_file().splitlines()
    assert lines[0] == "customer_id,email"
    known = {line.partition(",")[0] for line in lines[1:]}
    assert {order.confirmed["customer_id"] for order in write_script(1_000, 3).orders} <= known
