/* A message that may overtake its order: a cancel, PreparationStarted, a request to refund, a retry.

   Two consumers plan in transactions of their own (READ COMMITTED), each delivered more than once and cut off at any moment; two sweeps look
   for what a race has missed, and for what has waited long enough. A transaction shows nothing before its commit. See README.md. */
#define NOBODY 0

bool order;                                  /* committed */
byte rows;                                   /* rows of early_message, committed */
byte inserter, row_of, inbox_of;             /* who has the lock: of the order's key, of the row, of the inbox row */
bool inbox;
byte applied, dead; bool waited_long;
byte cuts;
#ifndef CUTS
#define CUTS 2
#endif

/* OrderConfirmed is planned: what waits for it is taken in the same transaction */
proctype confirmed(byte me) {
  bool seen;
again:
  atomic { inserter == NOBODY -> if :: order -> goto end :: else -> inserter = me fi };
  atomic {
#ifdef READ_WITHOUT_LOCK
    seen = (rows > 0)
#else
    if :: rows == 0 -> seen = 0 :: rows > 0 && row_of == NOBODY -> row_of = me; seen = 1 fi   /* waits for whoever has the row */
#endif
  };
  if
  :: atomic { cuts < CUTS -> cuts++; inserter = NOBODY; if :: row_of == me -> row_of = NOBODY :: else fi; seen = 0 }; goto again
  :: atomic { order = 1; inserter = NOBODY; if :: seen -> applied++; rows = 0 :: else fi; if :: row_of == me -> row_of = NOBODY :: else fi; seen = 0 }
  fi;
end: skip
}

/* the early message is planned */
proctype message(byte me) {
  bool there;
again:
  atomic { inbox_of == NOBODY ->
#ifndef NO_INBOX
       if :: inbox -> goto end :: else -> inbox_of = me fi
#else
       inbox_of = me
#endif
  };
  there = order;
  if
  :: atomic { cuts < CUTS -> cuts++; inbox_of = NOBODY; there = 0 }; goto again
  :: atomic { inbox = 1; inbox_of = NOBODY;
#ifdef DROPPED_IF_UNKNOWN
       if :: there -> applied++ :: else fi;
#else
       if :: there -> applied++ :: else -> rows++ fi;
#endif
       there = 0 }
  fi;
end: skip
}

proctype sweep(byte me) {
  bool there;
ends: do
#ifndef NO_SWEEP
  :: atomic { rows > 0 && order && row_of == NOBODY && inserter == NOBODY -> row_of = me };
     if
     :: atomic { cuts < CUTS -> cuts++; row_of = NOBODY }
     :: atomic { applied++; rows--; row_of = NOBODY }
     fi
#endif
  :: atomic { rows > 0 && !order && waited_long -> there = 0 };        /* a read of its own: the order may come at any moment from now */
#ifdef READ_WITHOUT_LOCK
     atomic { dead++; rows = 0 }
#else
     atomic { row_of == NOBODY -> if :: rows > 0 -> row_of = me :: else fi };
     if
     :: atomic { row_of == me -> if :: order :: else -> dead++; rows-- fi; row_of = NOBODY }
     :: row_of != me
     fi
#endif
  od
}

active proctype clock() { atomic { waited_long = 1 } }

init {
  atomic { run confirmed(1); run confirmed(2); run message(3); run message(4); run sweep(5); run sweep(6) };
  if :: timeout fi;
  d_step {
    assert(order && inbox && rows == 0);
    assert(applied + dead == 1);             /* once, whatever overtakes what, or told as a dead letter once */
    assert(dead == 0 || waited_long);
#ifdef ENDS
    ENDS                                     /* tells which ends were seen, see running.py */
#endif
    assert(inserter == NOBODY && row_of == NOBODY && inbox_of == NOBODY)
  }
}
