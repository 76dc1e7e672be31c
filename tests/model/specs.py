"""What is run: each model with its bounds, the ends that it must reach, and the mistakes that it must find."""

from typing import Final, NamedTuple


class Run(NamedTuple):
    """A model and what is defined for it. exhaustive: every state is kept; else a hash of each (bitstate)."""

    name: str
    model: str
    defines: tuple[str, ...]
    says: str
    exhaustive: bool = True
    long: bool = False


class End(NamedTuple):
    """An end that must be among those seen. If none fits, the model proves nothing about it."""

    run: str
    end: str
    says: str


class Mistake(NamedTuple):
    """A mistake that somebody might make, as a definition. The model must find a history in which it breaks a rule."""

    run: str
    define: str
    says: str


RUNS: Final = (
    Run("early", "early", (), "a message before its order, two deliveries each, two sweeps, two cuts"),
    Run("cancel", "cancel", (), "an order of two attempts, two requests to cancel, at every moment"),
    Run("stock", "stock", (), "goods in an external inventory, two attempts, a rival, a cancel"),
    Run("refund", "refund", (), "two requests to refund and a cancel, 2 units"),
    Run("refund-foreign", "refund", ("FOREIGN",), "and somebody else refunds in the dashboard"),
    Run("refund-approval", "refund", ("APPROVALS",), "and a second person must approve"),
    Run("refund-dispute", "refund", ("DISPUTE",), "and a dispute is opened and won", long=True),
    Run("refund-3-units", "refund", ("K 3",), "3 units", long=True),
    Run("refund-3", "refund", ("N 3", "K 3"), "three requests and a cancel, 3 units", exhaustive=False, long=True),
    Run(
        "refund-everything",
        "refund",
        ("FOREIGN", "APPROVALS", "DISPUTE"),
        "all of these at once",
        exhaustive=False,
        long=True,
    ),
    Run("stock-3-extensions", "stock", ("EXTENDS 3",), "a hold is extended three times", long=True),
    Run("early-4-cuts", "early", ("CUTS 4",), "four cuts", long=True),
)

ENDS: Final = (
    End("early", "dead == 1", "a dead letter after the wait"),
    End("early", "applied == 1 && waited_long", "applied though the wait was over"),
    End("cancel", "early && st == CANC", "cancelled before the order came"),
    End("cancel", "st == CANC && g[1] == GONE && !said_paid", "an authorization voided"),
    End("cancel", "st == CANC && g_ref[1] && !said_paid", "a capture under way refunded"),
    End("cancel", "st == CANC && said_paid && hold[1] == BACK", "paid, then cancelled, the goods back"),
    End("cancel", "st == CANC && outside[1]", "a refused refund, paid past the gateway"),
    End("cancel", "st == CANC && att == 2 && g[1] == DECLINED", "cancelled in the second attempt"),
    End("cancel", "st == CANC && alarmed", "preparation of a cancelled order"),
    End("cancel", "st == CANC && ruled && g_ref[1]", "money that came after a ruling"),
    End("cancel", "cx[2] == DONE && cx[1] == REFUSED", "the second request wins"),
    End("cancel", "st == PAID && prepared && cx[1] == REFUSED", "refused: it is prepared"),
    End("cancel", "st == FAIL && cx[1] == REFUSED", "refused: the payment failed"),
    End("cancel", "st == PAID && att == 2", "paid by the second attempt"),
    End("cancel", "st == CANC && free && rival", "an order that costs nothing"),
    End("stock", "st == PAID && att == 2", "paid by the second attempt"),
    End("stock", "st == CANC && there[1] == RESTOCKED", "sold there, then restocked"),
    End("stock", "st == FAIL && there[1] == RESTOCKED", "sold by a late copy after a ruling, then restocked"),
    End(
        "stock",
        "st == FAIL && there[1] == LAPSED && money[1] == BACK && r_cap[1] == 1",
        "confirm refused after capture",
    ),
    End("stock", "st == FAIL && rival", "the rival was first"),
    End("stock", "st == CANC && rel_told[1] && !may_give_up", "released there"),
    End("refund", "q[1] == DONE && q[2] == DONE && st == PAID", "two requests served"),
    End("refund", "q[1] == DONE && q[2] == REFUSED && st == PAID", "over what is kept"),
    End("refund", "st == CANC && q[1] == DONE && paid[0] > 0", "the rest refunded by a cancel"),
    End("refund", "st == CANC && outside[0]", "a cancel whose refund was refused"),
    End("refund", "outside[1] && outside[2]", "two refunds of one review, both paid past the gateway"),
    End("refund", "q[0] == REFUSED && prepared", "refused: it is prepared"),
    End("refund-foreign", "st == CANC && foreign > 0", "cancelled after a refund in the dashboard"),
    End("refund-approval", "q[1] == REFUSED && st == PAID", "not approved"),
)

MISTAKES: Final = (
    Mistake("early", "NO_SWEEP", "nobody looks for what a race has missed"),
    Mistake("early", "NO_INBOX", "a message that is delivered twice is noted twice"),
    Mistake("early", "DROPPED_IF_UNKNOWN", "a message without an order is forgotten"),
    Mistake("early", "READ_WITHOUT_LOCK", "the row is read, not taken"),
    Mistake("cancel", "FORGET_CAPTURE", "a cancel forgets a capture under way"),
    Mistake("cancel", "SAY_PAID", "PaidAndConfirmed after a noted cancel"),
    Mistake("cancel", "RESERVE_AFTER_CANCEL", "items are reserved though a cancel is noted"),
    Mistake("cancel", "CAPTURE_AFTER_CANCEL", "a capture starts though a cancel is noted"),
    Mistake("cancel", "NO_UNDO", "money that comes after the cancel is kept"),
    Mistake("cancel", "LEAVE_INTENT_OPEN", "its customer can still confirm the payment of a cancelled order"),
    Mistake("cancel", "FORGET_EARLY", "a cancel that came before its order is forgotten"),
    Mistake("cancel", "RETRY_CANCELLED", "a cancelled order is paid by another method"),
    Mistake("cancel", "RESTOCK_TWICE", "OrderCancelled is handled twice"),
    Mistake("cancel", "KEEP_GOODS", "the goods of a cancelled order stay on hold"),
    Mistake("cancel", "ALARM_BY_STATUS", "preparation is seen as in time while a noted cancel waits"),
    Mistake("cancel", "IGNORE_PREPARATION", "what is prepared is cancelled"),
    Mistake("cancel", "PENDING_FORGOTTEN", "a pending refund of a cancelled order comes to nothing, unseen"),
    Mistake("cancel", "LOOK_UP_IS_FAILURE", "a look-up that finds nothing is taken for a refusal"),
    Mistake("stock", "CAPTURE_UNEXTENDED", "a capture starts without an extension"),
    Mistake("stock", "STALE_EXTENSION", "the stored answer of an old extension is believed"),
    Mistake("stock", "LATE_EXTENSION_FAILS", "the late answer of an extension fails an order that went on"),
    Mistake(
        "stock", "EXTENSION_AFTER_CANCEL", "the answer of an extension ends a review in a capture, a cancel is noted"
    ),
    Mistake("stock", "FORGET_CONFIRM", "a cancel forgets a confirm under way"),
    Mistake("stock", "PAID_UNCONFIRMED", "paid before the goods are confirmed"),
    Mistake("stock", "LAPSED_IS_PAID", "confirm refused after capture, and PaidAndConfirmed said"),
    Mistake("stock", "RIVAL_OF_ITSELF", "the second attempt reserves before the first hold is gone"),
    Mistake("stock", "CONFIRMED_IS_RELEASED", "a release that finds the goods sold is taken for done"),
    Mistake("stock", "NO_MARK", "a release of an unknown hold leaves no mark, and a late reserve makes it"),
    Mistake("stock", "RESTOCK_TWICE", "sold goods are put back twice"),
    Mistake("refund", "KEY_WITHOUT_REQUEST", "the key of a refund does not name its request"),
    Mistake("refund", "PENDING_NOT_COUNTED", "a pending refund counts as kept"),
    Mistake("refund", "ALL_AT_ARRIVAL", "'all that is kept' is counted when the request arrives"),
    Mistake("refund", "TAKE_AT_ONCE", "a request is taken while another is unknown"),
    Mistake("refund", "TAKEN_BY_EVENT", "the same request is taken once more under another event id"),
    Mistake("refund", "WAITING_FORGOTTEN", "nobody takes the next waiting request"),
    Mistake("refund", "REVIEW_ENDS_TOO_SOON", "the first answer ends a review about two refunds"),
    Mistake("refund", "CANCEL_ENDS_REVIEW", "the end of a cancel ends a review about another refund"),
    Mistake("refund", "ALL_THAT_IS_KEPT", "the next try of a part gives back all that is kept"),
    Mistake("refund", "PENDING_FORGOTTEN", "a pending refund of a cancelled order comes to nothing, unseen"),
    Mistake("refund", "RESTOCK_TWICE", "a request restocks once more when its refund is sent again"),
    Mistake("refund-foreign", "WHOLE_AGAIN", "after a refund in the dashboard the whole amount is tried again"),
    Mistake("refund-approval", "APPROVED_UNCHECKED", "an approved cancel is not decided again"),
)
