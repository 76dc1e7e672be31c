"""`payments demo --running`: the demo's orders on a deployment that somebody else runs."""

import json
from pathlib import Path

import pytest

from deploy.demo.kinds import ORDERS_MIN
from deploy.demo.script import customer_file
from deploy.demo.settings import PENDING_S, SETTINGS
from deploy.demo.standing import deployment as playable
from deploy.embedded.ports import free_port
from deploy.local_servers import PlayWebhooks, sandbox_of
from deploy.settings import Settings, SettingsError, load_settings
from tests.processes import started

PLAY = {
    "PAYMENTS_GATEWAY": "sandbox",
    "PAYMENTS_STRIPE_API_BASE": "http://127.0.0.1:12111",
    "PAYMENTS_NOTIFIER": "smtp",
    "PAYMENTS_SMTP_URL": "smtp://127.0.0.1:12025?starttls=never",
    "PAYMENTS_SMTP_FROM": "shop@shop.example",
    "PAYMENTS_CUSTOMER_DIRECTORY": "https://customers.example/{customer_id}",
}


def settings(folder: Path, **other: str) -> Settings:
    return load_settings({**PLAY, **other}, directory=folder, use_embedded=False)


def test_a_deployment_of_play_money_that_mails_to_the_demo_is_taken(tmp_path: Path) -> None:
    playable(settings(tmp_path))


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"PAYMENTS_GATEWAY": "stripe", "PAYMENTS_STRIPE_API_KEY": "sk_live_1"}, "gateway sandbox only"),
        ({"PAYMENTS_GATEWAY": "simulated"}, "gateway sandbox only"),
        ({"PAYMENTS_STRIPE_API_BASE": ""}, "PAYMENTS_STRIPE_API_BASE"),
        ({"PAYMENTS_NOTIFIER": "log"}, "PAYMENTS_NOTIFIER=smtp"),
        ({"PAYMENTS_SMTP_URL": "smtps://mail.example"}, "PAYMENTS_SMTP_URL=smtp://127.0.0.1"),
        ({"PAYMENTS_INVENTORY": "http"}, "PAYMENTS_INVENTORY=internal"),
    ],
)
def test_any_other_deployment_is_refused(tmp_path: Path, other: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        playable(settings(tmp_path, **other))


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_every_order_of_the_demo_ends_as_its_script_says_on_a_running_deployment_and_only_once(
    tmp_path: Path, deployment: dict[str, str]
) -> None:
    (tmp_path / "customers.csv").write_text(customer_file(), encoding="utf-8")
    sandbox = sandbox_of(tmp_path, PENDING_S, lambda _: None)
    told = {
        **SETTINGS,
        **deployment,
        "PAYMENTS_GATEWAY": "sandbox",
        "PAYMENTS_STRIPE_API_BASE": f"http://{sandbox.address}",
        **PlayWebhooks.of(tmp_path).lines,
        "PAYMENTS_SMTP_URL": f"smtp://127.0.0.1:{free_port()}?starttls=never",
        "PAYMENTS_CUSTOMER_DIRECTORY": str(tmp_path / "customers.csv"),
        "PAYMENTS_LOG_LEVEL": "INFO",
    }
    play = ("demo", "--running", "--orders", str(ORDERS_MIN), "--json")
    sandbox.start()
    try:
        with started(tmp_path, "up", **told) as up:
            up.await_line("running")
            with started(tmp_path, *play, **told) as demo:
                assert demo.wait(200) == 0, demo.log + demo.out
            found = json.loads(demo.out)
            with started(tmp_path, *play, **told) as again:
                assert again.wait(60) == 2
    finally:
        sandbox.stop(immediate=True)
    assert (found["as_expected"], found["wrong"]) == (True, {})
    assert found["mails"]["came"] == found["mails"]["expected"]
    assert "has orders already" in again.log
