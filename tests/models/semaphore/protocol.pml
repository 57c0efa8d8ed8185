// SPDX-License-Identifier: MIT
// The semaphore: user-mode up and down, the kernel's wait and signal, time-outs, wait_any.
//
// A step (`atomic`) contains at most one access that another processor could observe without
// holding the lock that the step runs under; what comes before it in the step is the lock's
// acquisition, what comes after it are buffered stores, which others see only when they drain.

#define NONE 255

// States of a queue record; there is one record per thread.
#define IDLE 0
#define WAIT 1
#define GRANTED 2
#define DEAD 3

// Results of a wait.
#define PENDING 0
#define OK 1
#define TIMED_OUT 2

// What a thread is doing, for the checks at rest.
#define RUNNING 0
#define BLOCKED 1
#define DONE 2

byte record[THREADS];
byte granter[THREADS];        // which semaphore granted
byte link_seen[THREADS];      // sequence: the value that the waiter has seen
byte link_value[THREADS];     // sequence: the value that woke it
byte token[THREADS];          // ready() gives it, block() takes it
chan queue[SEMAPHORES] = [THREADS] of { byte };
byte member[SEMAPHORES];      // 0, or 1 + the member record

// Only for the checks.
byte phase[THREADS];
byte waits_on[THREADS];       // bit s: waits on semaphore s
byte made[SEMAPHORES];        // units signalled
byte taken[SEMAPHORES];       // units that a wait returned

// WaitLink::semaphore, which a waiter reads without a lock: bit s, its link stands in queue s.
// Modelled where wait_any is; elsewhere a pop is one step with the claim.
#ifdef LINKS_ARE_READ
byte stands[THREADS];
#define LINKED(t, s) ((stands[t] >> s) & 1)
#define LINK(t, s) stands[t] = stands[t] | (1 << s)
#define UNLINKED(t, s) stands[t] = stands[t] & (255 - (1 << s))
#else
#define LINKED(t, s) true
#define LINK(t, s) skip
#endif

#define KEEP(s) ((len(queue[s]) > 0 || member[s] != 0) -> K : 0)

#ifdef BINARY
#define NEXT(v) 1
#else
#define NEXT(v) (VALUE(v) + 1)
#endif

#define LOCALS                  \
    byte w, v, l, i, skipped;   \
    byte result

// Under the lock of s: sets K and reads the value. The holder's buffer is empty (acquire).
inline fetch_or(t, s, result_value) {
    assert(!freed);
    empty(buffer[t]) -> result_value = VALUE(mem[WORD(s)]);
    mem[WORD(s)] = mem[WORD(s)] | K
}

inline fetch_and_not_k(t, s) {
    assert(!freed);
    empty(buffer[t]) -> mem[WORD(s)] = VALUE(mem[WORD(s)])
}

// ready() takes the run queue's lock, so it comes after everything the caller stored.
inline ready_thread(t, l) {
    atomic {
        empty(buffer[t]);
        if
        :: l != NONE -> assert(token[l] == 0); token[l] = 1
        :: else
        fi;
        l = 0
    }
}

// Sleeps until ready(). Exactly one ready() comes for each record that left WAIT.
inline block(t) {
    phase[t] = BLOCKED;
    atomic { token[t] == 1 -> token[t] = 0; phase[t] = RUNNING; assert(record[t] != WAIT) }
}

inline up(t, s) {
    atomic { made[s]++; w = 0 }
    do
    :: atomic { load(t, WORD(s), w) -> assert(!freed) }
       if
       :: w >= K -> kernel_signal(t, s); break
#ifdef MUTANT_BINARY_PLAIN_LOAD
       :: w == 1 -> break
#endif
       :: w < K ->
          atomic {
              empty(buffer[t]) -> assert(!freed);
              if
              :: mem[WORD(s)] == w -> mem[WORD(s)] = NEXT(w); w = 0; break
              :: else -> w = 0
              fi
          }
       fi
    od
}

inline down(t, s) {
    result = PENDING;
    do
    :: atomic { load(t, WORD(s), w) }
       if
       :: w == 0 || w >= K -> w = 0; kernel_wait(t, s); break
       :: w > 0 && w < K ->
          atomic {
              empty(buffer[t]);
              if
              :: mem[WORD(s)] == w ->
                 mem[WORD(s)] = w - 1; taken[s]++; result = OK; w = 0; break
              :: else -> w = 0
              fi
          }
       fi
    od
}

inline kernel_wait(t, s) {
    atomic {
        acquire(t, LOCK(s));
#ifdef MUTANT_WAIT_NO_FETCH_OR
        v = VALUE(mem[WORD(s)]);
#else
        fetch_or(t, s, v);
#endif
        if
        :: v > 0 ->
#ifdef MUTANT_WAIT_FORGETS_KEEP
           store(t, WORD(s), v - 1);
#else
           store(t, WORD(s), (v - 1) | KEEP(s));
#endif
           taken[s]++;
           result = OK
        :: else ->
#ifdef MUTANT_WAIT_NO_FETCH_OR
           store(t, WORD(s), K);
#endif
           record[t] = WAIT;
           waits_on[t] = 1 << s;
           queue[s]!t;
           LINK(t, s)
        fi;
        release(t, LOCK(s));
        v = 0
    }
    if
    :: result == OK
    :: else ->
       block(t);
#ifdef CLAIM_ONLY
       if
       :: record[t] == DEAD -> unlink(t, s)
       :: record[t] != DEAD
       fi;
#endif
       granted_or_dead(t)
    fi
}

// kwait with a deadline of 0.
inline kernel_poll(t, s) {
    atomic {
        acquire(t, LOCK(s));
        fetch_or(t, s, v);
        if
        :: v > 0 ->
           store(t, WORD(s), (v - 1) | KEEP(s));
           taken[s]++;
           result = OK
        :: else ->
#ifdef MUTANT_POLL_KEEPS_K
           store(t, WORD(s), K);
#else
           store(t, WORD(s), KEEP(s));
#endif
           result = TIMED_OUT
        fi;
        release(t, LOCK(s));
        v = 0
    }
}

inline granted_or_dead(t) {
    atomic {
        if
        :: record[t] == GRANTED ->
           assert((waits_on[t] >> granter[t]) & 1);
           taken[granter[t]]++;
           result = OK
        :: else -> result = TIMED_OUT
        fi;
        record[t] = IDLE;
        granter[t] = 0;
        waits_on[t] = 0
    }
}

#ifndef SEQUENCE
inline kernel_signal(t, s) {
    atomic {
        acquire(t, LOCK(s));
#ifdef MUTANT_SIGNAL_NO_FETCH_OR
        v = VALUE(mem[WORD(s)]);
#else
        fetch_or(t, s, v);
#endif
        w = 0;
        l = NONE
    }
    do
    :: len(queue[s]) > 0 && skipped < SKIP_LIMIT ->
#ifdef MUTANT_GRANT_NO_CAS
       atomic { queue[s]?l; skipped++; w = (record[l] == WAIT) }
       atomic {
           if
           :: w -> record[l] = GRANTED; granter[l] = s
           :: else -> l = NONE
           fi;
           w = 0
       }
#elif defined(LINKS_ARE_READ)
       // The waiter may see that it is unlinked only when its record was looked at: it would begin
       // another wait, and be granted that.
       atomic {
           queue[s]?l;
           skipped++;
#ifdef MUTANT_POP_UNLINKS_FIRST
           UNLINKED(l, s);
#endif
           i = l
       }
       atomic {
           if
           :: record[l] == WAIT -> record[l] = GRANTED; granter[l] = s
           :: else -> l = NONE
           fi
       }
       atomic { UNLINKED(i, s); i = 0 }
#else
       atomic {
           queue[s]?l;
           skipped++;
           if
           :: record[l] == WAIT -> record[l] = GRANTED; granter[l] = s
           :: else -> l = NONE
           fi
       }
#endif
       if
       :: l != NONE -> break
       :: else
       fi
    :: len(queue[s]) > 0 && skipped == SKIP_LIMIT ->
#ifdef MUTANT_SKIP_GIVES_UP
       break
#else
       // Enough stale links for one lock hold: let others in, the unit is still in hand.
       atomic { store(t, WORD(s), v | K); release(t, LOCK(s)) }
       atomic { acquire(t, LOCK(s)); fetch_or(t, s, v); skipped = 0 }
#endif
    :: len(queue[s]) == 0 -> break
    od;
    if
    :: l != NONE ->
#ifdef MUTANT_READY_BEFORE_STORE
       i = l;
       ready_thread(t, i);
       l = NONE;
#endif
#ifdef MUTANT_SIGNAL_FORGETS_KEEP
       atomic { store(t, WORD(s), v); release(t, LOCK(s)) }
#else
       atomic { store(t, WORD(s), v | KEEP(s)); release(t, LOCK(s)) }
#endif
    :: l == NONE && member[s] != 0 ->
       atomic { store(t, WORD(s), NEXT(v) | K); i = member[s] - 1 }
       link_member(t, i);
       atomic { release(t, LOCK(s)) }
    :: l == NONE && member[s] == 0 ->
       atomic { store(t, WORD(s), NEXT(v) | KEEP(s)); release(t, LOCK(s)) }
    fi;
    atomic { v = 0; i = 0; skipped = 0; ready_thread(t, l) }
}
#endif

// A time-out or kill of a thread that waits on one semaphore, which the caller knows; runs on any
// processor. The other way is expire_claim() below: whoever expires a wait claims the record, with
// no lock, and the waiter unlinks itself. That one also serves wait_any and a kill, which cannot
// know what the victim waits on by the time it has the lock.
inline expire_locked(t, victim, s) {
    atomic {
        acquire(t, LOCK(s));
#ifdef MUTANT_TIMEOUT_NO_CAS
        if
        :: record[victim] == WAIT || record[victim] == GRANTED ->
           l = (record[victim] == GRANTED -> NONE : victim);
           record[victim] = DEAD
        :: else -> l = NONE
        fi;
#else
        if
        :: record[victim] == WAIT -> record[victim] = DEAD; l = victim
        :: else -> l = NONE
        fi;
#endif
        if
        :: l != NONE ->
#ifndef MUTANT_TIMEOUT_NO_UNLINK
           if
           :: queue[s]??[eval(victim)] -> queue[s]??eval(victim)
           :: else
           fi
#endif
        :: else
        fi
    }
    if
#ifndef MUTANT_TIMEOUT_KEEPS_K
    :: atomic { l != NONE && KEEP(s) == 0 -> fetch_and_not_k(t, s); release(t, LOCK(s)) }
    :: l == NONE || KEEP(s) != 0 -> release(t, LOCK(s))
#else
    :: release(t, LOCK(s))
#endif
    fi;
    ready_thread(t, l)
}

inline expire_claim(t, victim) {
#ifdef MUTANT_CLAIM_NO_CAS
    w = record[victim];
    atomic {
        l = (w == WAIT && record[victim] == WAIT -> victim : NONE);
        record[victim] = (w == WAIT -> DEAD : record[victim]);
        w = 0
    }
#else
    atomic {
        if
        :: record[victim] == WAIT -> record[victim] = DEAD; l = victim
        :: else -> l = NONE
        fi
    }
#endif
    ready_thread(t, l)
}

// Takes the thread's own link off semaphore s, if a signal has not popped it already, and
// recomputes K. K may be clear by then, so this is a locked instruction, never a store.
inline unlink(t, s) {
    if
    :: !LINKED(t, s)
    :: LINKED(t, s) ->
    atomic {
        acquire(t, LOCK(s));
        if
        :: queue[s]??[eval(t)] ->
           queue[s]??eval(t)
#ifdef LINKS_ARE_READ
           ; UNLINKED(t, s)
#endif
        :: else
        fi;
#ifdef MUTANT_UNLINK_PLAIN_STORE
        v = mem[WORD(s)]
#endif
    }
#ifdef MUTANT_UNLINK_PLAIN_STORE
    atomic { store(t, WORD(s), VALUE(v) | KEEP(s)); v = 0; release(t, LOCK(s)) }
#else
    if
#ifndef MUTANT_UNLINK_KEEPS_K
    :: atomic { KEEP(s) == 0 -> fetch_and_not_k(t, s); release(t, LOCK(s)) }
#else
    :: KEEP(s) == 0 -> release(t, LOCK(s))
#endif
    :: KEEP(s) != 0 -> release(t, LOCK(s))
    fi
#endif
    fi
}
