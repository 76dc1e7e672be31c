/* One order whose goods are in an external inventory: reserve, extend, confirm, release and restock are calls of their own.

   One unit in stock, a rival who may take it, two attempts. The payment is reduced to what decides about goods: a capture that is taken or
   refused, and money that goes back. Nothing is bounded in time, see README.md; a hold may lapse there at any moment after its time is over. */
#ifndef EXTENDS
#define EXTENDS 2       /* extensions of one hold */
#endif

#define NONE 0
#define AUTHD 1
#define RESV 2
#define RESF 3
#define PAID 4
#define FAIL 5
#define CANC 6
#define REVIEW 7
#define over(s) (s == PAID || s == FAIL || s == CANC)

#define RESERVE 1
#define CAP 2
#define CONFIRM 3
#define VOID 4
#define REF 5

/* a hold there */
#define HELD 1
#define SOLD 2
#define RELEASED 3      /* also the mark that a release leaves where it finds no hold */
#define LAPSED 4
#define RESTOCKED 5
/* a hold in our books: the same, or */
#define DOUBT 6         /* a reserve was sent, and closed without an answer */
#define NEVER 7         /* refused for certain */

/* money of one attempt */
#define FREE 1          /* authorized */
#define TAKEN 2
#define BACK 3

#define OPEN 1
#define CLOSED 2

byte st, reviewed, att; bool retryable, late;
byte cx;                                     /* the cancel: 1 noted, 2 done, 3 refused */
byte opk, opa;                               /* the unfinished operation that blocks others */
byte there[3], ours[3]; bool term[3];        /* term: the hold's time is not over yet */
byte r_res[3], r_cap[3], r_con[3], r_rel[3]; /* stored answers by key: 0 not executed, 1 done, 2 refused */
byte money[3];
byte ext[3], r_ext[3], tries[3];             /* extend blocks nothing; a new try has a new key */
byte rel[3], rst[3]; bool r_rst[3], rel_told[3];
byte stock = 1; bool rival, wants;           /* wants: the next reserve waits for the release of an older hold */
bool PA[3], IR[3], RF[3], PF[3], CX, OCD;
byte ghost, ghost_a;
bool may_rival, may_give_up;
hidden byte a, n, k;

#define noted (cx == 1)

inline open(kind, w) { assert(opk == 0); opk = kind; opa = w }
inline capture(w) {                         /* no capture starts without a confirmed extension */
  assert(!noted && there[w] == HELD && term[w]);
  open(CAP, w)
}
inline fail(again) { st = FAIL; retryable = again; PF[att] = 1 }
inline reserve(w) { assert(!noted); open(RESERVE, w); ours[w] = DOUBT }
inline release(w) {
  if
  :: (ours[w] == HELD || ours[w] == DOUBT) && rel[w] == 0 && !(opk == RESERVE && opa == w) -> rel[w] = OPEN
#ifdef RESTOCK_TWICE
  :: ours[w] == SOLD && st == CANC -> rst[w] = OPEN; r_rst[w] = 0
#else
  :: ours[w] == SOLD && st == CANC && rst[w] == 0 -> rst[w] = OPEN
#endif
  :: else
  fi
}
inline give_back(w) {
  if :: money[w] == TAKEN -> open(REF, w) :: money[w] == FREE -> open(VOID, w) :: else fi
}
inline carry_on() {
  if
  :: noted && opk == 0 && st != REVIEW ->
       give_back(1); if :: opk == 0 -> give_back(2) :: else fi;
       if :: opk == 0 -> st = CANC; cx = 2; OCD = 1 :: else fi
  :: else
  fi
}
inline closed() { a = opa; opk = 0; opa = 0; if :: st == REVIEW -> st = reviewed; reviewed = NONE :: else fi }
inline money_is_back() {
  money[a] = BACK;
  if :: noted -> carry_on() :: !noted && st == RESF -> fail(0) :: !noted && st == RESV -> fail(1) :: else fi
}
inline not_reserved(doubt) {
  ours[a] = (doubt -> DOUBT : NEVER);
  if :: noted -> carry_on() :: else -> st = RESF; RF[a] = 1 fi
}
inline not_sold() { if :: noted -> carry_on() :: else -> give_back(a) fi }
inline extended(w) {                        /* an extension was answered */
  if
  :: st == REVIEW && reviewed == RESV && opk == 0 && w == att -> st = RESV; reviewed = NONE;
#ifndef EXTENSION_AFTER_CANCEL
       carry_on()
#endif
  :: else
  fi;
  if
#ifdef EXTENSION_AFTER_CANCEL
  :: st == RESV && w == att &&
#else
  :: st == RESV && w == att && !noted &&
#endif
     r_cap[w] == 0 && opk == 0 && money[w] == FREE ->
       if
#ifdef STALE_EXTENSION
       :: r_ext[w] == 1 -> capture(w)
#else
       :: r_ext[w] == 1 && term[w] -> capture(w)
       :: r_ext[w] == 1 && !term[w] && tries[w] < EXTENDS -> ext[w] = OPEN; r_ext[w] = 0; tries[w]++   /* a stored answer, too old by now */
#endif
       :: else -> st = RESF; RF[w] = 1
       fi
#ifdef LATE_EXTENSION_FAILS
  :: r_ext[w] == 2 && st != FAIL && st != CANC && opk == 0 && !(st == RESV && w == att && !noted) -> st = RESF; RF[att] = 1
#endif
  :: else
  fi
}

init {
  CX = 1; if :: may_rival = 1 :: skip fi; if :: may_give_up = 1 :: skip fi;
  d_step { st = AUTHD; att = 1; money[1] = FREE; PA[1] = 1 };
  do
  /* --- plans ------------------------------------------------------------------------------------------------------------------- */
  :: d_step { PA[1] || PA[2] -> a = (PA[1] -> 1 : 2); PA[a] = 0;
       if
       :: st == AUTHD && a == att && !noted ->
            if
#ifndef RIVAL_OF_ITSELF
            :: a == 2 && (ours[1] == HELD || ours[1] == DOUBT) -> release(1); wants = 1   /* its own old hold must be gone first */
#else
            :: a == 2 && (ours[1] == HELD || ours[1] == DOUBT) -> release(1); reserve(2)
#endif
            :: else -> reserve(a)
            fi
       :: else
       fi }
  :: d_step { IR[1] || IR[2] -> a = (IR[1] -> 1 : 2); IR[a] = 0;
       if
       :: st == RESV && a == att && !noted && opk == 0 ->
#ifdef CAPTURE_UNEXTENDED
            capture(a)
#else
            ext[a] = OPEN; r_ext[a] = 0; tries[a]++
#endif
       :: else
       fi }
  :: d_step { RF[1] || RF[2] -> a = (RF[1] -> 1 : 2); RF[a] = 0; if :: st == RESF && a == att && !noted && opk == 0 -> give_back(a) :: else fi }
  :: d_step { PF[1] || PF[2] -> a = (PF[1] -> 1 : 2); PF[a] = 0; release(a) }
#ifdef RESTOCK_TWICE
  :: d_step { OCD -> OCD = (rst[1] == 0 && rst[2] == 0); release(1); release(2) }
#else
  :: d_step { OCD -> OCD = 0; release(1); release(2) }
#endif
  :: d_step { st == FAIL && retryable && att == 1 && opk == 0 -> att = 2; retryable = 0; st = AUTHD; money[2] = FREE; PA[2] = 1 }
  :: d_step { CX -> CX = 0;
       if
       :: st == PAID && late -> cx = 3
       :: st == FAIL && !retryable || (st == REVIEW && reviewed == FAIL) -> cx = 3
       :: else -> cx = 1; wants = 0;
#ifdef FORGET_CONFIRM
            if :: opk == CONFIRM -> opk = 0; ours[opa] = HELD; opa = 0 :: else fi;
#endif
            carry_on()
       fi }
  /* --- calls there --------------------------------------------------------------------------------------------------------------- */
  :: d_step { opk == RESERVE && r_res[opa] == 0 ->
       assert(!(stock == 0 && there[3 - opa] == HELD));                /* an order is never short of what it holds itself */
       if
       :: there[opa] == NONE && stock > 0 -> stock--; there[opa] = HELD; r_res[opa] = 1
       :: else -> r_res[opa] = 2
       fi }
  :: d_step { ext[1] == OPEN && r_ext[1] == 0 -> if :: there[1] == HELD -> term[1] = 1; r_ext[1] = 1 :: else -> r_ext[1] = 2 fi }
  :: d_step { ext[2] == OPEN && r_ext[2] == 0 -> if :: there[2] == HELD -> term[2] = 1; r_ext[2] = 1 :: else -> r_ext[2] = 2 fi }
  :: d_step { opk == CONFIRM && r_con[opa] == 0 -> if :: there[opa] == HELD -> there[opa] = SOLD; r_con[opa] = 1 :: else -> r_con[opa] = 2 fi }
#define RELEASES(x) d_step { rel[x] == OPEN && r_rel[x] == 0 -> if :: there[x] == HELD -> there[x] = RELEASED; stock++; r_rel[x] = 1 :: there[x] == SOLD -> r_rel[x] = 2 :: there[x] == NONE -> there[x] = MARK; r_rel[x] = 1 :: else -> r_rel[x] = 1 fi }
#ifdef NO_MARK
#define MARK NONE
#else
#define MARK RELEASED
#endif
  :: RELEASES(1)
  :: RELEASES(2)
#define RESTOCKS(x) d_step { rst[x] == OPEN && !r_rst[x] -> r_rst[x] = 1; if :: there[x] == SOLD || there[x] == RESTOCKED -> there[x] = RESTOCKED; stock++ :: else -> assert(false) fi }
  :: RESTOCKS(1)
  :: RESTOCKS(2)
  :: d_step { term[1] || term[2] -> n = (term[1] -> 1 : 2); term[n] = 0 }                                    /* the time of a hold is over */
  :: d_step { (there[1] == HELD && !term[1]) || (there[2] == HELD && !term[2]) -> n = (there[1] == HELD && !term[1] -> 1 : 2); there[n] = LAPSED; stock++ }
  :: d_step { may_rival && stock > 0 -> may_rival = 0; rival = 1; stock-- }
  :: d_step { ghost == RESERVE -> if :: there[ghost_a] == NONE && stock > 0 -> assert(!rel_told[ghost_a]); stock--; there[ghost_a] = HELD :: else fi; ghost = 0; ghost_a = 0 }
  :: d_step { ghost == CONFIRM -> if :: there[ghost_a] == HELD -> there[ghost_a] = SOLD :: else fi; ghost = 0; ghost_a = 0 }
  :: d_step { ghost != 0 -> ghost = 0; ghost_a = 0 }
  /* --- the gateway ----------------------------------------------------------------------------------------------------------------- */
  :: d_step { opk == CAP && r_cap[opa] == 0 -> r_cap[opa] = 1 }
  :: d_step { opk == CAP && r_cap[opa] == 0 -> r_cap[opa] = 2 }
  /* --- answers, or look-ups -------------------------------------------------------------------------------------------------------- */
  :: d_step { opk == RESERVE && r_res[opa] == 1 -> ours[opa] = HELD; closed(); if :: noted -> carry_on() :: else -> st = RESV; IR[a] = 1 fi }
  :: d_step { opk == RESERVE && r_res[opa] == 2 -> closed(); not_reserved(0) }
  :: d_step { ext[1] == OPEN && r_ext[1] != 0 -> ext[1] = CLOSED; extended(1) }
  :: d_step { ext[2] == OPEN && r_ext[2] != 0 -> ext[2] = CLOSED; extended(2) }
  :: d_step { opk == CAP && ext[opa] != OPEN && tries[opa] < EXTENDS && !term[opa] -> ext[opa] = OPEN; r_ext[opa] = 0; tries[opa]++ }   /* the sweep keeps it extended */
  :: d_step { opk == CAP && r_cap[opa] == 1 -> money[opa] = TAKEN; closed();
       if
       :: noted -> carry_on()
#ifdef PAID_UNCONFIRMED
       :: !noted -> ours[a] = SOLD; st = PAID
#else
       :: !noted -> open(CONFIRM, a)
#endif
       fi }
  :: d_step { opk == CAP && r_cap[opa] == 2 -> closed(); not_sold() }
  :: d_step { opk == CONFIRM && r_con[opa] == 1 -> ours[opa] = SOLD; closed();
       if :: noted -> carry_on() :: else -> assert(there[a] == SOLD && money[a] == TAKEN); st = PAID fi }
  :: d_step { opk == CONFIRM && r_con[opa] == 2 -> closed();
#ifdef LAPSED_IS_PAID
       if :: noted -> carry_on() :: else -> assert(there[a] == SOLD); st = PAID fi }
#else
       not_sold() }
#endif
  :: d_step { opk == VOID -> closed(); money_is_back() }
  :: d_step { opk == REF -> closed(); money_is_back() }
#ifdef CONFIRMED_IS_RELEASED
#define SOLD_INSTEAD(x) ours[x] = RELEASED
#else
#define SOLD_INSTEAD(x) ours[x] = SOLD; rst[x] = OPEN
#endif
#define RELEASE_TOLD(x) d_step { rel[x] == OPEN && r_rel[x] != 0 -> rel[x] = CLOSED; rel_told[x] = (r_rel[x] == 1); if :: r_rel[x] == 1 -> ours[x] = RELEASED :: else -> SOLD_INSTEAD(x) fi; if :: x == 1 && wants && st == AUTHD && !noted -> wants = 0; reserve(2) :: else fi }
#define RESTOCK_TOLD(x) d_step { rst[x] == OPEN && r_rst[x] -> rst[x] = CLOSED; ours[x] = RESTOCKED }
  :: RELEASE_TOLD(1)
  :: RELEASE_TOLD(2)
  :: RESTOCK_TOLD(1)
  :: RESTOCK_TOLD(2)
  /* --- an operator --------------------------------------------------------------------------------------------------------------------- */
  :: d_step { may_give_up && (opk == RESERVE || opk == CONFIRM) && st != REVIEW -> may_give_up = 0; reviewed = st; st = REVIEW }
  :: d_step { may_give_up && st == RESV && opk == 0 && ext[att] == OPEN -> may_give_up = 0; reviewed = st; st = REVIEW }
  :: d_step { st == REVIEW && reviewed == RESV && opk == 0 && ext[att] == OPEN && r_ext[att] == 0 -> ext[att] = CLOSED; r_ext[att] = 2; extended(att) }
  :: d_step { st == REVIEW && opk == RESERVE && r_res[opa] == 0 -> ghost = RESERVE; ghost_a = opa; r_res[opa] = 2; closed(); not_reserved(1) }
  :: d_step { st == REVIEW && opk == CONFIRM && r_con[opa] == 0 -> ghost = CONFIRM; ghost_a = opa; closed(); not_sold() }
  :: d_step { st == PAID && !late -> late = 1 }
  :: timeout -> break
  od;
  skip;
  d_step {
    assert(over(st) && opk == 0 && !wants);
    assert(cx == 2 || cx == 3); assert((cx == 2) == (st == CANC));
    k = 0; a = 1;
    do :: a < 3 ->
      assert(there[a] != HELD && ext[a] != OPEN && rel[a] != OPEN && rst[a] != OPEN);
      assert((there[a] == SOLD) == (st == PAID && a == att));
      assert((ours[a] == SOLD) == (there[a] == SOLD));
      assert((money[a] == TAKEN) == (st == PAID && a == att)); assert(money[a] != FREE);
      assert(ours[a] != HELD && ours[a] != DOUBT);
      if :: there[a] == SOLD -> k++ :: else fi;
      a++ :: else -> break od;
    assert(stock + rival + k == 1);
#ifdef ENDS
    ENDS                                     /* tells which ends were seen, see running.py */
#endif
  }
}
