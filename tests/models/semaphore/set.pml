// SPDX-License-Identifier: MIT
// The semaphore set: add, wait, remove, and the set that is bound to a table.
//
// Lock order: semaphore, set, table. A member record is linked (is on the ready list or in the
// hands of a set waiter) at most once; `linked` changes only under the semaphore's lock. A wake is
// a hint: the woken thread looks at the ready list itself, and passes the wake on if it cannot.

#define MEMBERS (SEMAPHORES * GENERATIONS)
#define SEMAPHORE_OF(m) ((m) % SEMAPHORES)

chan ready = [MEMBERS] of { byte };
chan set_queue = [THREADS] of { byte };
bit linked[MEMBERS];
byte in_hand[MEMBERS];        // threads that hold the member outside the set's lock
byte last[MEMBERS];           // sequence: the value that was last returned

// The table that the set is bound to.
chan table_queue = [THREADS] of { byte };
byte requests;
bit granted_request[THREADS];

// Only for the checks.
bool removed[MEMBERS];        // remove() has returned
bool set_waiter[THREADS];     // waits on the set

// Under the set's lock: wakes one waiter; l is the thread that the caller must ready().
inline wake_one(t) {
    l = NONE;
#ifdef TABLE
    store(t, READY_HINT, len(ready));
    acquire(t, TABLE_LOCK);
    do
    :: len(table_queue) > 0 ->
       table_queue?l;
       if
       :: record[l] == WAIT -> record[l] = GRANTED; break
       :: else -> l = NONE
       fi
    :: len(table_queue) == 0 -> break
    od;
    release(t, TABLE_LOCK)
#else
    do
    :: len(set_queue) > 0 ->
       set_queue?l;
       if
       :: record[l] == WAIT -> record[l] = GRANTED; break
       :: else -> l = NONE
       fi
    :: len(set_queue) == 0 -> break
    od
#endif
}

// Under the set's lock: appends to the ready list and wakes one.
inline append(t, m) {
    assert(!(ready??[eval(m)]));
    ready!m;
    wake_one(t)
}

// Under the semaphore's lock: makes the member ready, once.
inline link_member(t, m) {
    if
#ifdef MUTANT_SIGNAL_ALWAYS_APPENDS
    :: true ->
#else
    :: linked[m] == 0 ->
#endif
       linked[m] = 1;
       atomic { acquire(t, SET_LOCK); append(t, m); release(t, SET_LOCK) }
#ifndef MUTANT_SIGNAL_ALWAYS_APPENDS
    :: linked[m] == 1
#endif
    fi
}

inline set_add(t, s, m) {
    atomic {
        acquire(t, LOCK(s));
        assert(member[s] == 0);
        member[s] = m + 1;
        l = NONE;
        fetch_or(t, s, v)
    }
    if
#ifndef MUTANT_ADD_IGNORES_UNITS
    :: v != last[m] -> link_member(t, m)
#endif
    :: v == last[m]
#ifdef MUTANT_ADD_IGNORES_UNITS
    :: v != last[m]
#endif
    fi;
    atomic { v = 0; release(t, LOCK(s)) }
    ready_thread(t, l)
}

// Returns when nobody can still receive the member's key from the kernel.
inline set_remove(t, s) {
    atomic { acquire(t, LOCK(s)); i = member[s] - 1; member[s] = 0 }
    atomic {
        acquire(t, SET_LOCK);
        if
        :: ready??[eval(i)] -> ready??eval(i)
        :: else
        fi;
#ifdef TABLE
        store(t, READY_HINT, len(ready));
#endif
        release(t, SET_LOCK)
    }
    if
#ifndef MUTANT_REMOVE_KEEPS_K
    :: atomic { KEEP(s) == 0 -> fetch_and_not_k(t, s); release(t, LOCK(s)) }
#else
    :: KEEP(s) == 0 -> release(t, LOCK(s))
#endif
    :: KEEP(s) != 0 -> release(t, LOCK(s))
    fi;
#ifdef MUTANT_REMOVE_IGNORES_IN_HAND
    atomic { removed[i] = true; i = 0 }
#else
    atomic { in_hand[i] == 0 -> removed[i] = true; i = 0 }
#endif
}

// With a member in hand: takes a unit if one is left. result is OK and the key i, or PENDING.
inline take_member(t) {
    atomic {
        acquire(t, LOCK(SEMAPHORE_OF(i)));
        l = NONE;
        v = 0;
        w = 0;
#ifdef MUTANT_WAIT_IGNORES_REMOVED
        if
        :: true ->
#else
        if
#ifdef MUTANT_REMOVED_MEANS_NO_MEMBER
        :: member[SEMAPHORE_OF(i)] != 0 ->
#else
        :: member[SEMAPHORE_OF(i)] == i + 1 ->
#endif
#endif
           fetch_or(t, SEMAPHORE_OF(i), v);
           w = 1
#ifndef MUTANT_WAIT_IGNORES_REMOVED
        :: else
#endif
        fi
    }
    if
    :: w == 0
#ifdef SEQUENCE
    :: w == 1 ->
       atomic {
           if
           :: v != last[i] -> last[i] = v; result = OK
           :: else
           fi;
           linked[i] = 0
       }
#else
    :: w == 1 ->
       if
       :: v > 0 ->
          atomic {
              store(t, WORD(SEMAPHORE_OF(i)), (v - 1) | K);
              taken[SEMAPHORE_OF(i)]++;
              result = OK
          }
       :: v == 0
       fi;
       if
#ifndef MUTANT_WAIT_NO_REAPPEND
       :: v > 1 -> atomic { acquire(t, SET_LOCK); append(t, i); release(t, SET_LOCK) }
#else
       :: v > 1 -> linked[i] = 0
#endif
#ifdef MUTANT_LINKED_STAYS
       :: v <= 1
#else
       :: v <= 1 -> linked[i] = 0
#endif
       fi
#endif
    fi;
    atomic {
        release(t, LOCK(SEMAPHORE_OF(i)));
        v = 0;
        w = 0;
#ifdef MUTANT_IN_HAND_DROPPED_EARLY
        in_hand[i]--
#endif
    }
    ready_thread(t, l);
#ifndef MUTANT_IN_HAND_DROPPED_EARLY
    if
#ifndef MUTANT_IN_HAND_HELD_ON_SKIP
    :: result == PENDING -> atomic { in_hand[i]--; i = 0 }
#else
    :: result == PENDING
#endif
    :: result != PENDING
    fi
#endif
}

// The return to user mode with a key: the last moment at which the kernel holds the member.
inline deliver_key(t) {
    atomic {
        assert(!removed[i]);
#ifndef MUTANT_IN_HAND_DROPPED_EARLY
        in_hand[i]--;
#endif
        i = 0
    }
}

// A killed thread on its way out with a wake that it did not use.
inline pass_wake_on(t) {
#ifdef MUTANT_KILLED_KEEPS_WAKE
    skip
#else
    l = NONE;
    atomic {
        acquire(t, SET_LOCK);
        if
        :: len(ready) > 0 -> wake_one(t)
        :: else
        fi;
        release(t, SET_LOCK)
    }
    ready_thread(t, l)
#endif
}

inline pop_ready(t) {
    ready?i;
    assert(!removed[i]);
    in_hand[i]++;
#ifdef MUTANT_LINKED_CLEARED_AT_POP
    linked[i] = 0;
#endif
#ifdef TABLE
    store(t, READY_HINT, len(ready))
#endif
}

#ifndef TABLE
// Waits for one key. The caller may be killed when it wakes (a constant of the configuration).
inline set_wait(t, killable) {
    result = PENDING;
    do
    :: true ->
       atomic {
           acquire(t, SET_LOCK);
           if
           :: len(ready) > 0 -> pop_ready(t); w = 1
           :: else -> record[t] = WAIT; set_waiter[t] = true; set_queue!t; w = 0
           fi;
           release(t, SET_LOCK)
       }
       if
       :: w == 1 -> take_member(t)
       :: w == 0 ->
          block(t);
          atomic {
              set_waiter[t] = false;
              result = (record[t] == GRANTED -> PENDING : TIMED_OUT);
              record[t] = IDLE
          }
          if
          :: killable && result == PENDING -> pass_wake_on(t); result = TIMED_OUT
          :: true
          fi
       fi;
       if
       :: result != PENDING -> break
       :: result == PENDING
       fi
    od;
    if
    :: result == OK -> deliver_key(t)
    :: result != OK
    fi
}

inline expire_set(t, victim) {
    atomic {
        acquire(t, SET_LOCK);
        l = NONE;
        if
        :: record[victim] == WAIT ->
           record[victim] = DEAD;
           l = victim;
           set_queue??eval(victim)
        :: else
        fi;
        release(t, SET_LOCK)
    }
    ready_thread(t, l)
}
#endif
