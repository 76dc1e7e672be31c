/* A paid order, refunds on request that race each other, and a cancel of what is left.

   K units were captured; N requests, each for one unit, two, or all that is kept; the first comes twice; request 0 is the cancel.
   Goods are counted in the same units: K were sold. See README.md. */
#ifndef K
#define K 2
#endif
#ifndef N
#define N 2
#endif
#ifndef FAILS
#define FAILS 2          /* pending refunds that come to nothing */
#endif
#define R (N + 1)
#define NOBODY R

/* the order */
#define PAID 1
#define CANC 2
#define REVIEW 3

/* a request */
#define WAITING 1       /* something is under way: taken later, in order of arrival */
#define APPROVAL 2      /* waits for a second person */
#define TAKEN 3
#define DONE 4
#define REFUSED 5

/* its refund: our row */
#define OPEN 1          /* or unknown */
#define PENDING 2       /* counts as returned, blocks nothing */
#define APPROVED 3
#define DECLINED 4      /* owed: somebody must rule */

/* its refund at the gateway, by key */
#define SUCCEEDED 1
#define SLOW 2
#define NO 3
#define CAME_BACK 4     /* failed after success */
#define DISPUTED 5
#define SHORT 6         /* refused: somebody else gave it back */
#define REPLAYED 7      /* the answer of another key's owner */

byte st = PAID, reviewed;
byte q[R], asked[R], lines[R], turn[R], arrived;  /* turn: order of arrival */
byte o[R], paid[R], x[R]; bool outside[R], told[R];
byte busy = NOBODY;                          /* the one open or unknown refund */
byte foreign, foreign_booked;                /* refunds that somebody makes in the dashboard */
bool disputed, prepared, cancel_at_once;
byte rs[R]; bool rs_there[R];                /* restock: 1 open, 2 done; units there once its key is executed */
byte units[R];
byte fails = FAILS; bool may_refuse, may_fail, may_foreign, may_dispute, may_prepare;
byte doubles[R];
hidden byte i, j, m, sum, back;

inline count_kept() {                        /* what we captured, less all that is on its way back or may be */
  sum = foreign_booked; i = 0;
  do
  :: i < R ->
       if
#ifdef PENDING_NOT_COUNTED
       :: o[i] == OPEN || o[i] == APPROVED -> sum = sum + paid[i]
#else
       :: o[i] == OPEN || o[i] == PENDING || o[i] == APPROVED -> sum = sum + paid[i]
#endif
       :: else
       fi;
       i++
  :: else -> break
  od;
  m = (sum > K -> 0 : K - sum)
}
inline count_back() {                        /* what the gateway has given back, or is about to */
  back = foreign; i = 0;
  do :: i < R -> if :: x[i] == SUCCEEDED || x[i] == SLOW -> back = back + paid[i] :: else fi; i++ :: else -> break od;
  i = 0
}
inline check_money() {                       /* refunds alone never exceed what was captured, with what went past the gateway */
  count_back(); i = 0;
  do :: i < R -> if :: outside[i] -> back = back + paid[i] :: else fi; i++ :: else -> break od;
  assert(back <= K)
}
#define noted (q[0] == WAITING || q[0] == TAKEN)

inline restock(n, wanted) {                  /* never more than sold less restocked, what is under way included */
  if
#ifdef RESTOCK_TWICE
  :: wanted > 0 ->
#else
  :: wanted > 0 && rs[n] == 0 ->
#endif
       sum = 0; i = 0; do :: i < R -> sum = sum + units[i]; i++ :: else -> break od;
       m = (wanted > K - sum -> K - sum : wanted);
#ifdef RESTOCK_TWICE
       m = wanted;
#endif
       if :: m > 0 -> rs[n] = 1; units[n] = units[n] + m :: else fi
  :: else
  fi
}
inline open(n, amount) {
  assert(busy == NOBODY);
  q[n] = TAKEN; paid[n] = amount; o[n] = OPEN; x[n] = 0; busy = n
}
inline end_cancel() { q[0] = DONE; st = CANC; restock(0, K) }
inline refuse(n) { q[n] = REFUSED }
inline take(n) {                             /* decide on the request whose turn it is */
  count_kept();
  if
  :: n == 0 -> if :: disputed -> refuse(0) :: !disputed && m > 0 -> open(0, m) :: else -> end_cancel() fi
  :: n > 0 && (st == CANC || disputed) -> refuse(n)
#ifdef ALL_AT_ARRIVAL
  :: n > 0 && st != CANC && !disputed && asked[n] == 0 -> open(n, K)
#endif
  :: else -> if :: asked[n] > m || m == 0 -> refuse(n) :: else -> m = (asked[n] == 0 -> m : asked[n]); open(n, m) fi
  fi
}
inline take_next() {                         /* nothing is under way: the oldest waiting request, and so on */
  do
  :: busy == NOBODY && st != REVIEW ->
       j = NOBODY; i = 0;
       do :: i < R -> if :: q[i] == WAITING && (j == NOBODY || turn[i] < turn[j]) -> j = i :: else fi; i++ :: else -> break od;
       if :: j == NOBODY -> break :: else -> take(j) fi
  :: else -> break
  od;
  i = 0
}
inline to_review() { if :: st != REVIEW -> reviewed = st; st = REVIEW :: else fi }
inline end_review() {                        /* one review may be about several refunds */
  if
  :: st == REVIEW ->
       j = NOBODY; i = 0; do :: i < R -> if :: o[i] == DECLINED -> j = i :: else fi; i++ :: else -> break od;
#ifdef REVIEW_ENDS_TOO_SOON
       st = reviewed; reviewed = 0
#else
       if :: j == NOBODY && busy == NOBODY -> st = reviewed; reviewed = 0 :: else fi
#endif
  :: else
  fi
}
inline returned(n) {                         /* approved or pending: the request is served */
  if
#ifdef CANCEL_ENDS_REVIEW
  :: n == 0 && q[0] == TAKEN -> end_cancel()
#endif
  :: n == 0 && q[0] == TAKEN ->
       if :: st == REVIEW -> reviewed = CANC; q[0] = DONE; restock(0, K) :: else -> end_cancel() fi
  :: n == 0 && q[0] != TAKEN
  :: n > 0 -> q[n] = DONE; restock(n, lines[n])
  fi
}
inline go_on() {
#ifdef WAITING_FORGOTTEN
  i = 0
#else
  take_next()
#endif
}
inline arrive(n) {                           /* a request is planned, under the order's lock */
  turn[n] = arrived; arrived++;
  if
  :: n > 0 && st == CANC -> refuse(n)
  :: n > 0 && st == REVIEW -> refuse(n)
  :: n == 0 && (prepared || disputed) -> refuse(0)
#ifdef TAKE_AT_ONCE
  :: n > 0 && st == PAID -> count_kept(); if :: asked[n] > m || m == 0 -> refuse(n) :: else -> m = (asked[n] == 0 -> m : asked[n]); open(n, m) fi
#endif
  :: else -> q[n] = WAITING; take_next()
  fi
}

init {
  if :: may_refuse = 1 :: skip fi; if :: may_fail = 1 :: skip fi;
#ifdef FOREIGN
  may_foreign = 1;
#endif
#ifdef DISPUTE
  may_dispute = 1;
#endif
  if :: may_prepare = 1 :: skip fi;
#ifdef NO_CANCEL
  doubles[0] = 2;
#endif
  do
  /* --- requests come, and wait for a second person ------------------------------------------------------------------------ */
#define COMES(n, much, goods) d_step { n < R && q[n] == 0 -> doubles[n] = 1; asked[n] = much; lines[n] = goods; arrive(n); check_money() }
  :: COMES(1, 0, 1)
  :: COMES(1, 1, 0)
  :: COMES(1, 1, 1)
  :: COMES(1, 2, 2)
  :: d_step { N > 1 && q[1] != 0 && q[2] == 0 -> doubles[2] = 1; asked[2] = 0; lines[2] = 2; arrive(2); check_money() }
  :: d_step { N > 1 && q[1] != 0 && q[2] == 0 -> doubles[2] = 1; asked[2] = 1; lines[2] = 1; arrive(2); check_money() }
  :: d_step { N > 1 && q[1] != 0 && q[2] == 0 -> doubles[2] = 1; asked[2] = 2; lines[2] = 0; arrive(2); check_money() }
#if N > 2
  :: d_step { q[2] != 0 && q[3] == 0 -> doubles[3] = 1; asked[3] = 0; lines[3] = 1; arrive(3); check_money() }
  :: d_step { q[2] != 0 && q[3] == 0 -> doubles[3] = 1; asked[3] = 1; lines[3] = 1; arrive(3); check_money() }
#endif
#ifdef APPROVALS
  :: d_step { q[1] == 0 -> asked[1] = 1; lines[1] = 1; doubles[1] = 1; q[1] = APPROVAL; turn[1] = arrived; arrived++ }
  :: d_step { q[0] == 0 && st == PAID && doubles[0] != 2 -> doubles[0] = 1; q[0] = APPROVAL; turn[0] = arrived; arrived++ }
#ifdef APPROVED_UNCHECKED
  :: d_step { q[0] == APPROVAL -> q[0] = WAITING; go_on() }
#else
  :: d_step { q[0] == APPROVAL -> if :: prepared || disputed || st == CANC -> refuse(0) :: else -> q[0] = WAITING; go_on() fi }
#endif
  :: d_step { q[1] == APPROVAL -> if :: st != PAID -> refuse(1) :: else -> q[1] = WAITING; go_on() fi; check_money() }
  :: d_step { q[0] == APPROVAL -> refuse(0) }          /* nobody approved it in time */
  :: d_step { q[1] == APPROVAL -> refuse(1) }
#endif
  :: d_step { q[0] == 0 && doubles[0] != 2 -> doubles[0] = 1; arrive(0); check_money() }
#ifdef TAKEN_BY_EVENT
  :: d_step { doubles[1] == 1 -> doubles[1] = 2; if :: q[1] == DONE && st == PAID -> q[1] = WAITING; go_on() :: else fi; check_money() }
#else
  :: d_step { doubles[1] == 1 -> doubles[1] = 2 }      /* the same id once more: nothing */
#endif
  :: d_step { may_prepare && st == PAID -> may_prepare = 0; if :: noted -> cancel_at_once = 1 :: else fi; prepared = 1 }
  /* --- the gateway ---------------------------------------------------------------------------------------------------------------------- */
  :: d_step { busy != NOBODY && x[busy] == 0 -> count_back();
       if
       :: disputed -> x[busy] = DISPUTED
       :: !disputed && back + paid[busy] > K -> assert(foreign > 0); x[busy] = SHORT
#ifdef KEY_WITHOUT_REQUEST
       :: !disputed && back + paid[busy] <= K && busy == 2 && x[1] == SUCCEEDED && paid[1] == paid[2] -> x[2] = REPLAYED
#endif
       :: else -> x[busy] = SUCCEEDED
       fi; check_money() }
  :: d_step { busy != NOBODY && x[busy] == 0 && !disputed -> count_back(); if :: back + paid[busy] > K -> x[busy] = SHORT :: else -> x[busy] = SLOW fi; check_money() }
  :: d_step { busy != NOBODY && x[busy] == 0 && may_refuse -> may_refuse = 0; x[busy] = NO }
#define SETTLES_LATER(n) d_step { n < R && x[n] == SLOW -> x[n] = SUCCEEDED }
#define FAILS_LATER(n) d_step { n < R && fails > 0 && x[n] == SLOW -> fails--; x[n] = NO }
#define FAILS_AFTER(n) d_step { n < R && may_fail && x[n] == SUCCEEDED -> may_fail = 0; x[n] = CAME_BACK }
  :: SETTLES_LATER(0)
  :: SETTLES_LATER(1)
  :: SETTLES_LATER(2)
#if N > 2
  :: SETTLES_LATER(3)
#endif
  :: FAILS_LATER(0)
  :: FAILS_LATER(1)
  :: FAILS_LATER(2)
#if N > 2
  :: FAILS_LATER(3)
#endif
  :: FAILS_AFTER(0)
  :: FAILS_AFTER(1)
  :: FAILS_AFTER(2)
#if N > 2
  :: FAILS_AFTER(3)
#endif
  :: d_step { may_foreign -> may_foreign = 0; check_money(); if :: back < K -> foreign = 1 :: else fi }
  :: d_step { may_dispute -> may_dispute = 0; disputed = 1 }
  :: d_step { disputed -> disputed = 0 }               /* won; a dispute that is lost is one that never ends */
  /* --- answers, or look-ups --------------------------------------------------------------------------------------------------------------- */
  :: d_step { busy != NOBODY && (x[busy] == SUCCEEDED || x[busy] == SLOW || x[busy] == REPLAYED || x[busy] == CAME_BACK) ->
       m = busy; busy = NOBODY; o[m] = (x[m] == SLOW -> PENDING : APPROVED); told[m] = 1; j = m; returned(j); end_review(); go_on(); check_money() }
  :: d_step { busy != NOBODY && x[busy] == NO -> o[busy] = DECLINED; busy = NOBODY; to_review() }
  :: d_step { busy != NOBODY && x[busy] == DISPUTED ->   /* a definite refusal: nothing is owed */
       m = busy; busy = NOBODY;
       if
       :: q[m] == TAKEN && !told[m] -> o[m] = 0; paid[m] = 0; x[m] = 0; refuse(m); end_review(); go_on()
       :: else -> o[m] = DECLINED; to_review()           /* it had been told as given back: a person */
       fi }
  :: d_step { busy != NOBODY && x[busy] == SHORT ->      /* what somebody else gave back is booked, the rest is the next try */
       m = busy; busy = NOBODY; j = m; foreign_booked = foreign; o[j] = 0; back = paid[j]; count_kept();
       if
       :: m == 0 -> paid[j] = 0; x[j] = 0;
            if :: j == 0 -> if :: st == REVIEW -> q[0] = DONE; reviewed = CANC; restock(0, K) :: else -> end_cancel() fi :: else -> refuse(j) fi;
            end_review(); go_on()
#ifdef WHOLE_AGAIN
       :: m > 0 -> assert(paid[j] <= m); x[j] = 0; o[j] = OPEN; busy = j
#else
       :: m > 0 -> x[j] = 0; o[j] = OPEN; paid[j] = (back > m -> m : back); busy = j
#endif
       fi; check_money() }
#define PENDING_ENDS(n) d_step { n < R && o[n] == PENDING && (x[n] == SUCCEEDED || x[n] == CAME_BACK) -> o[n] = APPROVED }
#ifdef PENDING_FORGOTTEN
#define PENDING_FAILS(n) d_step { n < R && o[n] == PENDING && x[n] == NO -> if :: st == CANC -> o[n] = APPROVED :: else -> o[n] = DECLINED; to_review() fi }
#else
#define PENDING_FAILS(n) d_step { n < R && o[n] == PENDING && x[n] == NO -> o[n] = DECLINED; to_review() }
#endif
#define FAILURE_TOLD(n) d_step { n < R && o[n] == APPROVED && x[n] == CAME_BACK && !outside[n] && busy == NOBODY && st != REVIEW -> o[n] = DECLINED; to_review() }
  :: PENDING_ENDS(0)
  :: PENDING_ENDS(1)
  :: PENDING_ENDS(2)
#if N > 2
  :: PENDING_ENDS(3)
#endif
  :: PENDING_FAILS(0)
  :: PENDING_FAILS(1)
  :: PENDING_FAILS(2)
#if N > 2
  :: PENDING_FAILS(3)
#endif
  :: FAILURE_TOLD(0)
  :: FAILURE_TOLD(1)
  :: FAILURE_TOLD(2)
#if N > 2
  :: FAILURE_TOLD(3)
#endif
  :: d_step { foreign > foreign_booked && busy == NOBODY && st != REVIEW -> foreign_booked = foreign; go_on() }
  /* --- an operator rules, refund by refund: sent again as the next try, or paid past the gateway ------------------------------------------- */
#ifdef ALL_THAT_IS_KEPT
#define AGAIN m
#else
#define AGAIN (back > m -> m : back)
#endif
#define SENT_AGAIN(n) d_step { n < R && st == REVIEW && busy == NOBODY && o[n] == DECLINED && !disputed -> back = paid[n]; count_kept(); if :: m == 0 -> o[n] = 0; paid[n] = 0; x[n] = 0; j = n; returned(j); end_review(); go_on() :: else -> x[n] = 0; o[n] = OPEN; paid[n] = AGAIN; busy = n fi; check_money() }
#define PAID_PAST(n) d_step { n < R && st == REVIEW && busy == NOBODY && o[n] == DECLINED && foreign == foreign_booked -> may_foreign = 0; count_kept(); if :: m == 0 -> o[n] = 0; paid[n] = 0; x[n] = 0 :: else -> paid[n] = (paid[n] > m -> m : paid[n]); o[n] = APPROVED; outside[n] = 1 fi; told[n] = 1; j = n; returned(j); end_review(); go_on(); check_money() }
  :: SENT_AGAIN(0)
  :: SENT_AGAIN(1)
  :: SENT_AGAIN(2)
#if N > 2
  :: SENT_AGAIN(3)
#endif
  :: PAID_PAST(0)
  :: PAID_PAST(1)
  :: PAID_PAST(2)
#if N > 2
  :: PAID_PAST(3)
#endif
  /* --- goods ---------------------------------------------------------------------------------------------------------------------------------- */
#define PUT_BACK(n) d_step { n < R && rs[n] == 1 && !rs_there[n] -> rs_there[n] = 1 }
#define BACK_TOLD(n) d_step { n < R && rs[n] == 1 && rs_there[n] -> rs[n] = 2 }
  :: PUT_BACK(0)
  :: PUT_BACK(1)
  :: PUT_BACK(2)
#if N > 2
  :: PUT_BACK(3)
#endif
  :: BACK_TOLD(0)
  :: BACK_TOLD(1)
  :: BACK_TOLD(2)
#if N > 2
  :: BACK_TOLD(3)
#endif
  :: timeout -> break
  od;
  skip;
  d_step {                                   /* nothing more can happen */
    assert(st != REVIEW && busy == NOBODY);
    check_money(); count_back();
    sum = 0; m = 0;
    j = 0; do :: j < R ->
      assert(q[j] != WAITING && q[j] != APPROVAL && q[j] != TAKEN);   /* each request is done or refused */
      assert(o[j] != OPEN && o[j] != PENDING && o[j] != DECLINED);
      assert(o[j] != APPROVED || x[j] == SUCCEEDED || outside[j]);    /* what the books say went back, did */
      assert(x[j] != SUCCEEDED || (o[j] == APPROVED && !outside[j]));
      assert(!(q[j] == REFUSED) || o[j] == 0);
      assert(rs[j] != 1);
      assert(j == 0 || asked[j] == 0 || paid[j] <= asked[j]);         /* never more than was asked for */
      if :: o[j] == APPROVED -> sum = sum + paid[j] :: else fi;
      m = m + units[j];
      j++ :: else -> break od;
    assert(foreign == foreign_booked);
    assert(sum + foreign <= K); assert(m <= K);
    assert((q[0] == DONE) == (st == CANC));
    assert(st != CANC || (sum + foreign == K && m == K));             /* cancelled: all money and all goods are back */
    assert(!(st == CANC && prepared && !cancel_at_once));
#ifdef ENDS
    ENDS                                     /* tells which ends were seen, see running.py */
#endif
  }
}
