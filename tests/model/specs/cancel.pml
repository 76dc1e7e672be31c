/* One order from its confirmation to its end, and a customer who changes their mind at any moment.

   Every option of the loop at the end is one transaction of ours, or one thing that happens at the gateway, among customers or to the goods.
   Nothing is bounded in time: a call may execute at any moment while its operation is unfinished, and its answer may be heard at any moment
   after that, or by a look-up. So lost and late answers, crashes and lapsed leases need no steps of their own. See README.md. */

/* where the order stands */
#define NONE 0
#define CONF 1          /* confirmed: authorize under way */
#define ASKED 2         /* action_required */
#define AUTHD 3         /* payment_authorized */
#define RESV 4          /* items_reserved */
#define RESF 5          /* reservation_failed */
#define PAID 6
#define FAIL 7
#define CANC 8
#define REVIEW 9
#define ON_ITS_WAY(s) (s >= CONF && s <= RESF)

/* operations */
#define AUTH 1
#define CAP 2
#define VOID 3
#define REF 4

/* a payment at the gateway */
#define ABSENT 0
#define ASKS 1          /* it waits for its customer */
#define BANK 2          /* the bank takes days */
#define HELD 3
#define TAKEN 4
#define GONE 5          /* cancelled, or lapsed */
#define DECLINED 6

/* goods of one attempt */
#define ON_HOLD 1
#define SOLD 2
#define FREED 3         /* released or expired */
#define BACK 4          /* sold, then restocked */

/* a request to cancel */
#define NOTED 1         /* waiting or taken: rows shared by all reactions come first */
#define DONE 2
#define REFUSED 3

byte st, reviewed, att;
bool retryable, said_paid, said_cancelled, late, prepared, alarmed, early, ruled;  /* ruled: an operator closed a call that nobody had answered */
byte cx[3];                                  /* the two requests, by their ids */
byte opk, opa;                               /* the one unfinished operation, and its attempt */
bool b_auth[3], b_cap[3], b_void[3], b_ref[3], b_pending[3];  /* our books; b_ref counts a pending refund as returned */
byte g[3]; bool g_ref[3], g_pending[3], outside[3];           /* the gateway's truth; outside: paid back past the gateway */
byte r_cap[3], r_void[3], r_ref[3];          /* stored answers by key: 0 not executed, 1 done, 2 refused, 3 already captured, 4 pending */
byte hold[3]; bool pinned; byte stock = 1; bool rival;
bool PA[3], IR[3], RF[3], PF[3], OC, PR, PS, CX[3], OCD;      /* events on their way */
byte ghost, ghost_a;                         /* a copy of a call whose operation has been closed without an answer */
bool may_rival, may_lapse, may_retry, may_prepare, may_give_up, free;  /* what this run has in store */
hidden byte a, i, found;

#define noted (cx[1] == NOTED || cx[2] == NOTED)
#define where (st == REVIEW -> reviewed : st)
#define over(s) (s == PAID || s == FAIL || s == CANC)

inline open(k, n) {
  assert(opk == 0);
  assert(!(k == CAP && noted));              /* nothing is captured while a cancel is noted */
  opk = k; opa = n
}
inline fail(again) {
  assert(ruled || g[att] != ASKS);           /* an attempt fails only when its customer can no longer pay */
  st = FAIL; retryable = again; PF[att] = 1; if :: again && att == 1 && may_retry -> PR = 1; may_retry = 0 :: else fi
}
inline charged(n) { assert(ruled || !((g[3 - n] == HELD || g[3 - n] == TAKEN) && !g_ref[3 - n] && !g_pending[3 - n] && !outside[3 - n])) }
                                             /* the customer is never charged by two attempts at once */
inline pay() {
#ifndef SAY_PAID
  assert(!noted && !said_cancelled);         /* PaidAndConfirmed is not said once a cancel is noted */
#endif
  hold[att] = SOLD; pinned = 0; st = PAID; said_paid = 1; if :: may_prepare -> PS = 1; may_prepare = 0 :: else fi
}
inline give_back(n) {                        /* all that attempt n has moved */
  if
  :: b_cap[n] && !b_ref[n] -> r_ref[n] = 0; open(REF, n)
  :: b_auth[n] && !b_cap[n] && !b_void[n] -> open(VOID, n)
  :: else
  fi
}
inline cancelled() {
  assert(ruled || (g[1] != ASKS && g[2] != ASKS));
  st = CANC; retryable = 0; said_cancelled = 1; OCD = 1;
  i = 1; do :: i < 3 -> if :: cx[i] == NOTED && !found -> cx[i] = DONE; found = 1 :: cx[i] == NOTED && found -> cx[i] = REFUSED :: else fi; i++ :: else -> break od;
  found = 0
}
inline carry_on() {                          /* a cancel is noted: once nothing is under way the money goes back, then the order is cancelled */
  if
  :: noted && opk == 0 && st != REVIEW && st != CANC ->
       give_back(1); if :: opk == 0 -> give_back(2) :: else fi;
       if :: opk == 0 -> cancelled() :: else fi
  :: else
  fi
}
inline undo(n) {                             /* money that no status wants */
  if
  :: opk == 0 && (n != att || st == FAIL || st == CANC) ->
#ifdef NO_UNDO
       if :: st != CANC -> give_back(n) :: else fi
#else
       give_back(n)
#endif
  :: else
  fi
}
inline to_review() { if :: st != REVIEW -> reviewed = st; st = REVIEW :: else fi }
inline end_review() { if :: st == REVIEW -> st = reviewed; reviewed = NONE :: else fi }
inline closed() { a = opa; opk = 0; opa = 0; end_review() }

/* what an outcome makes of its order, its money booked */
inline failed_to_authorize() {
  if :: a == att && (st == CONF || st == ASKED) -> if :: noted -> carry_on() :: else -> fail(1) fi :: else -> carry_on() fi
}
inline authorized() {
  if
  :: a == att && (st == CONF || st == ASKED) -> if :: noted -> carry_on() :: else -> st = AUTHD; PA[a] = 1 fi
  :: else -> undo(a); carry_on()
  fi
}
inline money_is_back() {
  if
  :: noted -> carry_on()
  :: !noted && a == att && st == RESF -> fail(0)
  :: !noted && a == att && (st == RESV || st == CONF || st == ASKED) -> fail(1)
  :: else
  fi
}
inline decide(n) {                           /* under the order's lock, when the request is planned */
  if
  :: noted -> cx[n] = NOTED                  /* it waits behind the first */
  :: !noted && where == CANC -> cx[n] = REFUSED
#ifdef IGNORE_PREPARATION
  :: !noted && where == PAID && late -> cx[n] = REFUSED
#else
  :: !noted && where == PAID && (late || prepared) -> cx[n] = REFUSED
#endif
  :: !noted && where == FAIL && !retryable -> cx[n] = REFUSED
  :: else ->
       cx[n] = NOTED;
       if
#ifdef FORGET_CAPTURE
       :: opk == CAP -> ghost = CAP; ghost_a = opa; opk = 0; b_auth[opa] = 1; carry_on()
#endif
       :: st == ASKED && opk == AUTH ->
#ifdef LEAVE_INTENT_OPEN
            opk = 0; cancelled()
#else
            opk = VOID                       /* its customer could still pay: cancelled at the gateway first; AUTH is closed in this transaction */
#endif
       :: else -> carry_on()
       fi
  fi
}
inline release(n) { if :: hold[n] == ON_HOLD -> hold[n] = FREED; pinned = 0; stock++ :: else fi }

init {
  /* what happens in this run; when it happens is open */
  OC = 1; CX[1] = 1;
  if :: CX[2] = 1 :: skip fi; if :: may_rival = 1 :: skip fi; if :: may_lapse = 1 :: skip fi; if :: may_retry = 1 :: skip fi;
  if :: may_prepare = 1 :: skip fi; if :: may_give_up = 1 :: skip fi; if :: free = 1 :: skip fi;
  do
  /* --- plans ------------------------------------------------------------------------------------------------------------------- */
  :: d_step { OC -> OC = 0; att = 1;
       if
#ifndef FORGET_EARLY
       :: early -> cx[1] = NOTED; cancelled()  /* nothing is called for an order that was cancelled before it came */
#else
       :: early -> st = CONF; open(AUTH, 1)
#endif
       :: else -> if :: free -> st = AUTHD; PA[1] = 1 :: else -> st = CONF; open(AUTH, 1) fi
       fi }
  :: d_step { PR -> PR = 0;
#ifdef RETRY_CANCELLED
       if :: (st == FAIL || st == CANC) && opk == 0 && !b_pending[1] -> st = CONF; att = 2; open(AUTH, 2) :: else fi }
#else
       if :: st == FAIL && retryable && opk == 0 && !b_pending[1] -> st = CONF; att = 2; retryable = 0; open(AUTH, 2) :: else fi }
#endif
  :: d_step { PA[1] || PA[2] -> a = (PA[1] -> 1 : 2); PA[a] = 0;
       if
#ifdef RESERVE_AFTER_CANCEL
       :: st == AUTHD && a == att ->
#else
       :: st == AUTHD && a == att && !noted ->
#endif
            if :: a == 2 -> release(1) :: else fi;
            if :: stock > 0 -> assert(!noted); stock--; hold[a] = ON_HOLD; pinned = 0; st = RESV; IR[a] = 1 :: else -> st = RESF; RF[a] = 1 fi
       :: else
       fi }
  :: d_step { IR[1] || IR[2] -> a = (IR[1] -> 1 : 2); IR[a] = 0;
       if
#ifdef CAPTURE_AFTER_CANCEL
       :: st == RESV && a == att ->
#else
       :: st == RESV && a == att && !noted ->
#endif
            if
            :: hold[a] == ON_HOLD ->
                 if :: free || b_cap[a] -> pay() :: else -> pinned = 1; open(CAP, a) fi
            :: else -> st = RESF; RF[a] = 1
            fi
       :: else
       fi }
  :: d_step { RF[1] || RF[2] -> a = (RF[1] -> 1 : 2); RF[a] = 0;
       if :: st == RESF && a == att && !noted && opk == 0 -> give_back(a); if :: opk == 0 -> fail(0) :: else fi :: else fi }
  :: d_step { PF[1] || PF[2] -> a = (PF[1] -> 1 : 2); PF[a] = 0; release(a) }
  :: d_step { OCD ->
#ifndef RESTOCK_TWICE
       OCD = 0;
       if :: hold[1] == SOLD -> hold[1] = BACK; stock++ :: hold[2] == SOLD -> hold[2] = BACK; stock++ :: else fi;
#else
       if :: hold[1] == BACK || hold[2] == BACK -> OCD = 0 :: else fi;
       if :: hold[1] == SOLD || hold[1] == BACK -> hold[1] = BACK; stock++ :: hold[2] == SOLD || hold[2] == BACK -> hold[2] = BACK; stock++ :: else -> OCD = 0 fi;
#endif
#ifndef KEEP_GOODS
       release(1); release(2)
#endif
     }
  :: d_step { CX[1] -> CX[1] = 0; if :: st == NONE -> early = 1 :: else -> decide(1) fi }
  :: d_step { CX[2] && st != NONE -> CX[2] = 0; decide(2) }
  :: d_step { PS -> PS = 0;
#ifdef ALARM_BY_STATUS
       if :: st == CANC -> alarmed = 1 :: else -> prepared = 1 fi }
#else
       if :: st == CANC || noted || (st == REVIEW && reviewed == CANC) -> alarmed = 1 :: else -> prepared = 1 fi }
#endif
  /* --- the gateway ---------------------------------------------------------------------------------------------------------------- */
  :: d_step { opk == AUTH && g[opa] == ABSENT -> g[opa] = HELD; charged(opa) }
  :: d_step { opk == AUTH && g[opa] == ABSENT -> g[opa] = TAKEN; charged(opa) }     /* a method that captures at once */
  :: d_step { opk == AUTH && g[opa] == ABSENT -> g[opa] = DECLINED }
  :: d_step { opk == AUTH && g[opa] == ABSENT -> g[opa] = ASKS }
  :: d_step { opk == AUTH && g[opa] == ABSENT -> g[opa] = BANK }
  :: d_step { g[1] == ASKS || g[2] == ASKS -> a = (g[1] == ASKS -> 1 : 2); g[a] = HELD; charged(a) }
  :: d_step { g[1] == ASKS || g[2] == ASKS -> a = (g[1] == ASKS -> 1 : 2); g[a] = TAKEN; charged(a) }
  :: d_step { g[1] == ASKS || g[2] == ASKS -> g[(g[1] == ASKS -> 1 : 2)] = BANK }
  :: d_step { g[1] == BANK || g[2] == BANK -> a = (g[1] == BANK -> 1 : 2); g[a] = HELD; charged(a) }
  :: d_step { g[1] == BANK || g[2] == BANK -> a = (g[1] == BANK -> 1 : 2); g[a] = TAKEN; charged(a) }
  :: d_step { g[1] == BANK || g[2] == BANK -> g[(g[1] == BANK -> 1 : 2)] = DECLINED }
  :: d_step { may_lapse && (g[1] == HELD || g[2] == HELD) -> may_lapse = 0; g[(g[1] == HELD -> 1 : 2)] = GONE }  /* the authorization lapses */
  :: d_step { opk == CAP && r_cap[opa] == 0 && g[opa] == HELD -> g[opa] = TAKEN; r_cap[opa] = 1 }
  :: d_step { opk == CAP && r_cap[opa] == 0 -> r_cap[opa] = 2 }
  :: d_step { opk == VOID && r_void[opa] == 0 && (g[opa] == HELD || g[opa] == ASKS) -> g[opa] = GONE; r_void[opa] = 1 }
  :: d_step { opk == VOID && r_void[opa] == 0 && (g[opa] == GONE || g[opa] == DECLINED) -> r_void[opa] = 1 }
  :: d_step { opk == VOID && r_void[opa] == 0 && g[opa] == TAKEN -> r_void[opa] = 3 }
  :: d_step { opk == REF && r_ref[opa] == 0 && g[opa] == TAKEN -> assert(!g_ref[opa] && !g_pending[opa]); g_ref[opa] = 1; r_ref[opa] = 1 }
  :: d_step { opk == REF && r_ref[opa] == 0 && g[opa] == TAKEN && !outside[opa] -> g_pending[opa] = 1; r_ref[opa] = 4 }
  :: d_step { opk == REF && r_ref[opa] == 0 && may_give_up -> may_give_up = 0; r_ref[opa] = 2 }
  :: d_step { ghost == AUTH -> if :: g[ghost_a] == ABSENT -> g[ghost_a] = HELD; charged(ghost_a) :: else fi; ghost = 0; ghost_a = 0 }
  :: d_step { ghost == CAP -> if :: g[ghost_a] == HELD -> g[ghost_a] = TAKEN; r_cap[ghost_a] = 1 :: else fi; ghost = 0; ghost_a = 0 }
  :: d_step { ghost != 0 -> ghost = 0; ghost_a = 0 }
  /* --- answers, or look-ups ------------------------------------------------------------------------------------------------------- */
  :: d_step { opk == AUTH && (g[opa] == HELD || g[opa] == TAKEN) -> b_auth[opa] = 1; b_cap[opa] = (g[opa] == TAKEN); closed(); authorized() }
  :: d_step { opk == AUTH && (g[opa] == DECLINED || g[opa] == GONE) -> closed(); failed_to_authorize() }
  :: d_step { opk == AUTH && g[opa] == ASKS && (st == CONF || st == REVIEW && reviewed == CONF) && opa == att ->
       end_review(); if :: noted -> opk = VOID :: else -> st = ASKED fi }
  :: d_step { opk == AUTH && g[opa] == ASKS && st == ASKED -> opk = VOID }                     /* the customer's time is over */
  :: d_step { opk == AUTH && g[opa] == ASKS && (st == FAIL || st == CANC) -> opk = VOID }
  :: d_step { (opk == AUTH || opk == VOID) && g[opa] == BANK && opa == att && (st == CONF || st == ASKED) ->  /* the bank takes longer than we wait: still asked */
       if :: noted -> cancelled() :: else -> fail(0) fi }
  :: d_step { opk == CAP && r_cap[opa] == 1 -> b_cap[opa] = 1; closed();
       if
#ifndef SAY_PAID
       :: noted -> carry_on()
       :: !noted && hold[a] == ON_HOLD -> pay()
#else
       :: hold[a] == ON_HOLD -> pay()
#endif
       :: else -> give_back(a)
       fi }
  :: d_step { opk == CAP && r_cap[opa] == 2 -> b_void[opa] = (g[opa] == GONE); closed();
       if :: noted -> carry_on() :: !noted && b_void[a] -> fail(1) :: else -> give_back(a) fi }
  :: d_step { opk == VOID && r_void[opa] == 1 -> b_void[opa] = 1; closed(); money_is_back() }
  :: d_step { opk == VOID && r_void[opa] == 3 -> found = (b_auth[opa] == 0); b_auth[opa] = 1; b_cap[opa] = 1; closed();
       if
       :: found && !noted && a == att && (st == CONF || st == ASKED) -> found = 0; st = AUTHD; PA[a] = 1   /* paid at the last moment */
       :: else -> found = 0; give_back(a)
       fi }
  :: d_step { opk == REF && r_ref[opa] == 1 -> b_ref[opa] = 1; closed(); money_is_back() }
  :: d_step { opk == REF && r_ref[opa] == 4 -> b_ref[opa] = 1; b_pending[opa] = 1; closed(); money_is_back() }
  :: d_step { opk == REF && r_ref[opa] == 2 -> opk = 0; opa = 0; to_review() }
#ifdef LOOK_UP_IS_FAILURE
  :: d_step { opk == AUTH && g[opa] == ABSENT && ghost == 0 -> ghost = AUTH; ghost_a = opa; closed(); failed_to_authorize() }
#endif
  /* a pending refund ends: the bank took it, or did not */
  :: d_step { (g_pending[1] && b_pending[1]) || (g_pending[2] && b_pending[2]) -> a = (g_pending[1] && b_pending[1] -> 1 : 2); g_pending[a] = 0; g_ref[a] = 1; b_pending[a] = 0 }
  :: d_step { may_give_up && opk == 0 && over(st) && ((g_pending[1] && b_pending[1]) || (g_pending[2] && b_pending[2])) ->
       may_give_up = 0; a = (g_pending[1] && b_pending[1] -> 1 : 2); g_pending[a] = 0; b_pending[a] = 0;
#ifdef PENDING_FORGOTTEN
       if :: st == CANC :: else -> b_ref[a] = 0; to_review() fi }
#else
       b_ref[a] = 0; to_review() }
#endif
  /* the gateway tells of money that no operation of ours waits for */
  :: d_step { opk == 0 && over(st) && ((g[1] == HELD || g[1] == TAKEN) && !b_auth[1] || (g[2] == HELD || g[2] == TAKEN) && !b_auth[2]) ->
       a = ((g[1] == HELD || g[1] == TAKEN) && !b_auth[1] -> 1 : 2); b_auth[a] = 1; b_cap[a] = (g[a] == TAKEN); undo(a) }
  :: d_step { opk == 0 && over(st) && (g[1] == TAKEN && b_auth[1] && !b_cap[1] || g[2] == TAKEN && b_auth[2] && !b_cap[2]) ->
       a = (g[1] == TAKEN && b_auth[1] && !b_cap[1] -> 1 : 2); b_cap[a] = 1; undo(a) }
  :: d_step { opk == 0 && over(st) && (g[1] == ASKS || g[2] == ASKS) -> opa = (g[1] == ASKS -> 1 : 2); opk = VOID }
  /* --- an operator ------------------------------------------------------------------------------------------------------------------- */
  :: d_step { may_give_up && (opk == AUTH || opk == CAP) && st != REVIEW && ON_ITS_WAY(st) -> may_give_up = 0; to_review() }
  :: d_step { st == REVIEW && opk == AUTH && g[opa] == ABSENT -> ruled = 1; ghost = AUTH; ghost_a = opa; closed(); failed_to_authorize() }
  :: d_step { st == REVIEW && opk == AUTH && (g[opa] == ASKS || g[opa] == BANK) -> ruled = 1; closed(); failed_to_authorize() }
  :: d_step { st == REVIEW && opk == CAP && r_cap[opa] == 0 -> ghost = CAP; ghost_a = opa; closed(); if :: noted -> carry_on() :: else -> give_back(a) fi }
  :: d_step { st == REVIEW && opk == 0 -> a = (b_cap[1] && !b_ref[1] -> 1 : 2); r_ref[a] = 0; open(REF, a) }   /* sent again as the next try */
  :: d_step { st == REVIEW && opk == 0 -> a = (b_cap[1] && !b_ref[1] -> 1 : 2); b_ref[a] = 1; outside[a] = 1; end_review(); money_is_back() }
  /* --- goods, time ---------------------------------------------------------------------------------------------------------------------- */
  :: d_step { may_rival && stock > 0 -> may_rival = 0; rival = 1; stock-- }
  :: d_step { att > 0 && hold[att] == ON_HOLD && !pinned -> hold[att] = FREED; stock++ }
  :: d_step { st == PAID && !late -> late = 1 }
  :: timeout -> break
  od;
  skip;
  d_step {                                   /* nothing more can happen */
    assert(over(st));
    assert(!OC && !CX[1] && !CX[2]);
    assert(cx[1] == DONE || cx[1] == REFUSED); assert(cx[2] != NOTED);
    assert((cx[1] == DONE) + (cx[2] == DONE) == (st == CANC));        /* cancelled by exactly one request, and by nothing else */
    assert(said_cancelled == (st == CANC));
    assert(said_paid == (st == PAID) || st == CANC);
    a = 1; do :: a < 3 ->
      assert(g[a] != HELD && g[a] != ASKS && g[a] != BANK);           /* nothing is held, nobody can still pay */
      assert(!(g[a] == TAKEN && !g_ref[a] && !outside[a]) || (st == PAID && a == att));
      assert(!(g_ref[a] && outside[a]));
      assert(!(st == PAID && a == att) || free || (g[a] == TAKEN && !g_ref[a]));
      assert(hold[a] != ON_HOLD);
      assert((hold[a] == SOLD) == (st == PAID && a == att));
      a++ :: else -> break od;
    assert(stock + rival + (st == PAID) == 1);
    assert(!(st == CANC && prepared));                                /* what is prepared is not cancelled, or it rings */
    assert(!(early && (st != CANC || g[1] != ABSENT)));
#ifdef ENDS
    ENDS                                     /* tells which ends were seen, see running.py */
#endif
  }
}
