// SPDX-License-Identifier: MIT
// The end of a ring's operation (kernel/object/ring_run.cpp, ring_end.cpp, table_ring.cpp): answer,
// deadline, cancel, the table's end and the ring's end, each of which may come first.
//
// Build with -DCONFIGURATION_<NAME>, and with -DMUTANT_<NAME> to leave one thing out.
//
// What one lock guards changes in one step: the ring's (the records, the queues' counts) or the
// table's (slots, queue of waiting clients), which is free unless `table_held`. Both sides change
// an operation's `wait` by compare-and-exchange. Records are used again: `id` tells operations
// apart. Two entries, one slot.

#if defined(CONFIGURATION_ENDS)
#define OPERATIONS 2
#define DEADLINES
#define TABLE_ENDS
#define RING_ENDS
#elif defined(CONFIGURATION_CANCEL)
#define OPERATIONS 3
#define DEADLINES
#define CANCELLED 1  // the operation that somebody cancels
#elif defined(CONFIGURATION_CANCEL_AND_ENDS)
#define OPERATIONS 2
#define CANCELLED 1
#define TABLE_ENDS
#define RING_ENDS
#else
#error "choose a configuration"
#endif
#define ENTRIES 2
#define NOBODY 255

// States of a record.
#define FREE 0
#define STARTED 1
#define READY 2  // for the ring's work item
// What a ready one goes on with.
#define SUBMIT 0
#define COMPLETE 1
// The wait.
#define IDLE 0
#define WAITING 1
#define GRANTED 2
#define DEAD 3
// States of the slot, beside FREE.
#define OWNED 1  // granted to a client, or its bytes are copied
#define QUEUED 2
#define TAKEN 3
#define ORPHAN 4

// The records, guarded by the ring's lock but for the wait's own fields.
byte id[ENTRIES];
byte state[ENTRIES];
byte next[ENTRIES];
byte wait[ENTRIES];
bool armed[ENTRIES];     // its deadline
bool in_table[ENTRIES];  // `table` is not null
bool for_slot[ENTRIES];
bool linked[ENTRIES];  // in the table's queue of waiting clients

byte in_flight;
byte unread;
bool ring_ended;
bool freed;      // the ring's memory
byte on_the_way; // timers that fired and have not looked at their record yet

bool table_held;
bool table_ended;
byte slot;
byte slot_record = NOBODY;
byte slot_id;  // only for the checks
bool copying;

// Only for the checks.
byte accepted;
byte ends[OPERATIONS + 1];
bool has_deadline[OPERATIONS + 1];

#define TABLE_FREE (!table_held)

inline finish(r) {
    atomic {
        assert(!freed);
        assert(id[r] != 0 && state[r] == STARTED);
        armed[r] = false;
        ends[id[r]]++;
        assert(ends[id[r]] == 1);
        assert(unread < ENTRIES);  // the completion has a slot
        unread++;
        in_flight--;
        id[r] = 0;
        state[r] = FREE
    }
}

inline make_ready(r, step) {
    state[r] = READY;
    next[r] = step
}

// Under the table's lock. The first live waiting client gets it.
inline drop_slot() {
    assert(slot != FREE);
    slot_record = NOBODY;
    copying = false;
    slot = FREE;
    if
    :: !table_ended && linked[0] -> admit(0)
    :: else
    fi;
    if
    :: !table_ended && slot == FREE && linked[1] -> admit(1)
    :: else
    fi
}

inline admit(w) {
    linked[w] = false;
    if
#ifdef MUTANT_GRANT_WITHOUT_CLAIM
    :: true ->
#else
    :: wait[w] == WAITING ->
#endif
       wait[w] = GRANTED;
       armed[w] = false;
       for_slot[w] = false;
       slot = OWNED;
       slot_record = w;
       make_ready(w, SUBMIT)
    :: else
    fi
}

// The bytes are copied: the request is queued.
inline submit(r) {
    atomic {
        TABLE_FREE;
        assert(slot == OWNED && slot_record == r);
        copying = false;
        if
        :: table_ended ->
           wait[r] = IDLE;
           in_table[r] = false;
           drop_slot();
           over = true
        :: else ->
           in_table[r] = true;
           for_slot[r] = false;
           slot_record = r;
           slot_id = id[r];
           armed[r] = has_deadline[id[r]];
           wait[r] = WAITING;
           slot = QUEUED;
           over = false
        fi
    }
    if
    :: over -> finish(r)
    :: else
    fi
}

inline begin_request(r) {
    atomic {
        TABLE_FREE;
        if
        :: table_ended -> over = true; owns = false
        :: !table_ended && slot == FREE ->
           slot = OWNED;
           slot_record = r;
           copying = true;
           over = false;
           owns = true
        :: else ->
           in_table[r] = true;
           for_slot[r] = true;
           linked[r] = true;
           armed[r] = has_deadline[id[r]];
           wait[r] = WAITING;
           over = false;
           owns = false
        fi
    }
    if
    :: owns -> submit(r)
    :: over -> finish(r)
    :: else
    fi
}

// The caller moved the wait to DEAD.
inline give_up(r) {
    if
    :: in_table[r] ->
       atomic {
           TABLE_FREE;
           if
           :: for_slot[r] -> linked[r] = false
#ifdef MUTANT_CANCEL_IGNORES_OWNER
           :: !for_slot[r] && slot != FREE ->
#else
           :: !for_slot[r] && slot_record == r ->
#endif
              if
              :: slot == QUEUED -> drop_slot()
              :: else ->
#ifndef MUTANT_TAKEN_IS_NO_ORPHAN
                 slot = ORPHAN;
                 slot_record = NOBODY
#else
                 skip
#endif
              fi
           :: else
           fi;
           in_table[r] = false
       }
    :: else
    fi;
    finish(r)
}

inline claim_locked(r) {
    won = (wait[r] == WAITING);
    if
    :: won -> wait[r] = DEAD
    :: else
    fi
}

// --- the parties

active proctype client() {
    byte number = 1;
    byte r;
    bool over, owns;
    do
    :: number > OPERATIONS -> break
    :: else ->
       atomic {
#ifdef MUTANT_NO_RESERVED_SLOT
           ring_ended || (unread < ENTRIES && (id[0] == 0 || id[1] == 0));
#else
           ring_ended || in_flight + unread < ENTRIES;
#endif
           if
           :: ring_ended -> break
           :: else ->
              r = (id[0] == 0 -> 0 : 1);
              assert(id[r] == 0);
              id[r] = number;
              state[r] = STARTED;
              wait[r] = IDLE;
              in_flight++;
              accepted = number
           fi;
           if
#ifdef DEADLINES
           :: has_deadline[number] = true
#endif
           :: has_deadline[number] = false
           fi
       }
       if
       :: begin_request(r)
       :: has_deadline[number] ->  // a timer
          atomic { armed[r] = true; wait[r] = WAITING }
       fi;
       number++
    od
}

active proctype reader() {
end:
    do
    :: atomic { unread > 0 -> unread-- }
    od
}

active proctype server() {
    byte r;
    bool won;
    bool refused = false;  // it answered once with handles that could not arrive
end:
    do
    :: atomic { TABLE_FREE && !table_ended && slot == QUEUED -> slot = TAKEN }
       do
       :: !refused ->
          // The client's wait is granted and given back while the table's lock is held.
          atomic { TABLE_FREE -> table_held = true }
          atomic {
              if
              :: slot == TAKEN && wait[slot_record] == WAITING ->
                 r = slot_record;
                 wait[r] = GRANTED;
                 won = true
              :: else -> won = false
              fi
          }
          atomic {
              if
#ifndef MUTANT_REFUSED_ANSWER_ENDS_WAIT
              :: won -> wait[r] = WAITING
#endif
              :: else
              fi;
              table_held = false;
              refused = true
          }
       :: true -> break
       od;
       won = false;
       atomic {
           TABLE_FREE;
           if
           :: slot == ORPHAN -> drop_slot()
           :: slot == TAKEN ->
              r = slot_record;
              assert(!freed && id[r] == slot_id);
#ifdef MUTANT_ANSWER_WITHOUT_CLAIM
              won = true;
#else
              won = (wait[r] == WAITING);
#endif
              if
              :: won -> wait[r] = GRANTED; in_table[r] = false
              :: else
              fi;
              drop_slot()
           :: else  // the table's end answered
           fi
       }
       if
       :: won -> finish(r)
       :: else
       fi
    od
}

// A timer that fires; it may come late, for an earlier use of the record.
active [2] proctype deadline() {
    byte r = _pid % 2;
    byte number;
    bool won;
end:
    do
    :: atomic { armed[r] -> on_the_way++ }
       atomic {
           assert(!freed);
           won = false;
           if
#ifdef MUTANT_LATE_TIMER
           :: state[r] == STARTED -> number = id[r]; claim_locked(r)
#else
           :: state[r] == STARTED && armed[r] -> number = id[r]; claim_locked(r)
#endif
           :: else
           fi;
           on_the_way--;
           assert(!won || has_deadline[number])
       }
       if
       :: won -> give_up(r)
       :: else
       fi
    od
}

#ifdef CANCELLED
active proctype canceller() {
    byte r;
    bool won = false;
    atomic {
        accepted >= CANCELLED;
        r = (id[0] == CANCELLED -> 0 : (id[1] == CANCELLED -> 1 : NOBODY));
#ifndef MUTANT_CLAIM_WITHOUT_LOCK
        if
        :: r != NOBODY && state[r] == STARTED -> claim_locked(r)
        :: else
        fi
#endif
    }
#ifdef MUTANT_CLAIM_WITHOUT_LOCK
    if
    :: r != NOBODY -> atomic { claim_locked(r) }
    :: else
    fi;
#endif
    assert(!won || id[r] == CANCELLED);
    if
    :: won -> give_up(r)
    :: else
    fi
}
#endif

// The ring's work item.
active proctype worker() {
    byte r;
    bool over, won;
end:
    do
    :: atomic {
           state[0] == READY || state[1] == READY;
           r = (state[0] == READY -> 0 : 1);
           state[r] = STARTED
       }
       if
       :: next[r] == COMPLETE -> finish(r)
       :: else ->
          atomic {
              TABLE_FREE;
              over = !in_table[r];
              if
              :: !over -> in_table[r] = false; copying = true
              :: else
              fi
          }
          if
          :: over -> finish(r)
          :: else -> submit(r)
          fi
       fi
#ifdef RING_ENDS
    :: atomic {
           ring_ended && in_flight > 0 && (wait[0] == WAITING && state[0] == STARTED ||
                                           wait[1] == WAITING && state[1] == STARTED);
           r = (wait[0] == WAITING && state[0] == STARTED -> 0 : 1);
           claim_locked(r)
       }
       give_up(r)
    :: atomic {
#ifdef MUTANT_END_DOES_NOT_WAIT
           ring_ended && !freed && on_the_way == 0 -> freed = true
#elif defined(MUTANT_END_WITHOUT_GRACE)
           ring_ended && !freed && in_flight == 0 -> freed = true
#else
           ring_ended && !freed && in_flight == 0 && on_the_way == 0 -> freed = true
#endif
       }
#endif
    od
}

#ifdef RING_ENDS
active proctype ring_end() {
    if
    :: true -> ring_ended = true
    :: true
    fi
}
#endif

#ifdef TABLE_ENDS
inline end_waiting(r) {
    if
    :: wait[r] == WAITING ->
       wait[r] = GRANTED;
       in_table[r] = false;
       make_ready(r, COMPLETE)
    :: else
    fi
}

active proctype table_end() {
    if
    :: true -> skip
    :: true -> goto done
    fi;
    atomic { TABLE_FREE -> table_ended = true }
#ifndef MUTANT_TABLE_END_SKIPS_WAITERS
    do
    :: atomic {
           TABLE_FREE && linked[0] -> linked[0] = false; end_waiting(0)
       }
    :: atomic {
           TABLE_FREE && linked[1] -> linked[1] = false; end_waiting(1)
       }
    :: TABLE_FREE && !linked[0] && !linked[1] -> break
    od;
#endif
    atomic {
#ifdef MUTANT_TABLE_END_IGNORES_COPIES
        TABLE_FREE;
#else
        TABLE_FREE && !copying;
#endif
        if
        :: slot == QUEUED || slot == TAKEN -> end_waiting(slot_record); drop_slot()
        :: slot == OWNED -> in_table[slot_record] = false; drop_slot()
        :: slot == ORPHAN -> drop_slot()
        :: else
        fi
    }
done:
    skip
}
#endif

// When nothing can move any more.
active proctype rest() {
    byte i;
    timeout;
    atomic {
        i = 1;
        do
        :: i > accepted -> break
        :: else -> assert(ends[i] == 1); i++
        od;
        assert(in_flight == 0 && unread == 0);
        assert(!linked[0] && !linked[1]);
        assert(slot == FREE && !table_held);
        assert(!ring_ended || freed)
    }
}
