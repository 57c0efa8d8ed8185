// SPDX-License-Identifier: MIT
// The doors of semaphores and sets: the fast paths of signal and wait, and who comes by the locks.
//
// Follows kernel/object/semaphore.cpp, semaphore_member.cpp and semaphore_set.cpp; paths.pml
// follows the assembly. An event is given to the waiter at once, with its unit. Signals are of one
// unit. Memory is that of ../semaphore: store buffers, locked instructions.
//
// A step (`atomic`) holds one access that others could see without the lock or the door that the
// step runs under. Build with -DCONFIGURATION_<NAME>, and with -DMUTANT_<NAME> to break one thing.

#if defined(CONFIGURATION_PLAIN)
#define THREADS 4
#elif defined(CONFIGURATION_SET)
#define THREADS 5
#define SET
#elif defined(CONFIGURATION_SET_KILL)
#define THREADS 4
#define SET
#elif defined(CONFIGURATION_SET_MIXED)
#define THREADS 4
#define SET
#elif defined(CONFIGURATION_SET_REMOVE)
#define THREADS 4
#define SET
#else
#error "choose a configuration"
#endif

#define SEMAPHORES 1
#define PRODUCERS 2
#define DOOR DATA(0)
#define SET_DOOR DATA(1)
#include "../semaphore/memory.pml"

// What a door says.
#define OPEN 0
#define CLOSED 1
#define MEMBER 2
#define THREAD(t) (3 + (t))

#define NONE 255

// Wait records.
#define IDLE 0
#define WAIT 1
#define GRANTED 2
#define DEAD 3

// Results.
#define PENDING 0
#define OK 1
#define TIMED_OUT 2

// Phases, for the checks at rest.
#define RUNNING 0
#define BLOCKED 1
#define DONE 2

// What a thread waits for: alone_at while a door names it, waits_on whoever has it.
#define NOTHING 0
#define AT_SEMAPHORE 1
#define AT_SET 2

byte record[THREADS];
byte alone_at[THREADS];
byte waits_on[THREADS];
byte token[THREADS];          // ready() gives it, block() takes it
byte phase[THREADS];
chan queue = [THREADS] of { byte };
chan set_queue = [THREADS] of { byte };
bit shut;                     // the semaphore's door stays shut between holders of the lock
bit set_shut;
bit member;                   // it is in the set
bit ready;                    // the member's record is on the ready list
bit linked;                   // there, or in the hands of one visit
byte in_hand;
bool removed;                 // remove() has returned
byte made, taken;             // units

#define KEEP ((len(queue) > 0 || member) -> K : 0)
#define LOCALS            \
    byte w, v, l, d;      \
    byte result

// --- what the lock's holders do

inline fetch_or(t, result_value) {
    empty(buffer[t]) -> result_value = VALUE(mem[WORD(0)]);
    mem[WORD(0)] = mem[WORD(0)] | K
}

inline take_door(t, at) {
    (empty(buffer[t]) && mem[at] != CLOSED) -> d = mem[at];
    mem[at] = CLOSED
}

inline enter(t) {
    acquire(t, LOCK(0));
#ifndef MUTANT_LOCK_WITHOUT_DOOR
    if
    :: shut
    :: !shut ->
       take_door(t, DOOR);
       shut = 1;
       if
       :: d >= THREAD(0) ->
          alone_at[d - THREAD(0)] = NOTHING;
          record[d - THREAD(0)] = WAIT;
          queue!(d - THREAD(0))
       :: else
       fi;
       d = 0
    fi
#endif
}

// The only waiter goes back to the door, as semaphores do it.
inline leave(t) {
    if
    :: !member && len(queue) == 0 -> shut = 0; store(t, DOOR, OPEN)
    :: !member && len(queue) == 1 ->
       queue?l;
       if
       :: record[l] == WAIT ->
          record[l] = IDLE;
          alone_at[l] = AT_SEMAPHORE;
          shut = 0;
          store(t, DOOR, THREAD(l))
       :: else -> queue!l
       fi;
       l = NONE
#ifdef MUTANT_MEMBER_WITH_WAITERS
    :: member && !linked -> shut = 0; store(t, DOOR, MEMBER)
    :: member && linked
#else
    :: member && !linked && len(queue) == 0 -> shut = 0; store(t, DOOR, MEMBER)
    :: member && (linked || len(queue) > 0)
#endif
    :: !member && len(queue) > 1
    fi;
    release(t, LOCK(0))
}

inline enter_set(t) {
    acquire(t, SET_LOCK);
    if
    :: set_shut
    :: !set_shut ->
       take_door(t, SET_DOOR);
       set_shut = 1;
       if
       :: d >= THREAD(0) ->
          alone_at[d - THREAD(0)] = NOTHING;
          record[d - THREAD(0)] = WAIT;
#ifndef MUTANT_THREAD_AT_DOOR_FORGOTTEN
          set_queue!(d - THREAD(0))
#endif
       :: else
       fi;
       d = 0
    fi
}

inline leave_set(t) {
    if
#ifdef MUTANT_SET_OPEN_WHILE_READY
    :: len(set_queue) == 0 ->
#else
    :: len(set_queue) == 0 && !ready ->
#endif
       set_shut = 0;
       store(t, SET_DOOR, OPEN)
    :: else
    fi;
    release(t, SET_LOCK)
}

// l: the first of the queue that still waits, or NONE. The unit is its own.
inline grant_first(waiting) {
    l = NONE;
    do
    :: len(waiting) > 0 ->
       atomic {
           waiting?l;
           if
           :: record[l] == WAIT -> record[l] = GRANTED; taken++; break
           :: else -> l = NONE
           fi
       }
    :: len(waiting) == 0 -> break
    od
}

// The member is not linked and has v units: one for who waits on the set, or the ready list.
inline place(t) {
    atomic {
        enter_set(t);
        assert(!removed);
        grant_first(set_queue);
        v = (l == NONE -> v : v - 1);
        linked = v > 0;
        assert(!(ready && linked));
        ready = ready || linked;
        leave_set(t)
    }
}

inline ready_thread(t) {
    atomic {
        empty(buffer[t]);
        if
        :: l != NONE -> assert(token[l] == 0); token[l] = 1
        :: else
        fi;
        l = NONE
    }
}

inline block(t) {
    phase[t] = BLOCKED;
    atomic {
        token[t] == 1 -> token[t] = 0;
        phase[t] = RUNNING;
        assert(record[t] != WAIT && alone_at[t] == NOTHING);
        result = (record[t] == DEAD -> TIMED_OUT : OK);
        record[t] = IDLE;
        waits_on[t] = NOTHING
    }
}

inline kernel_signal(t) {
    atomic { enter(t); fetch_or(t, v) }
    grant_first(queue);
    if
    :: l == NONE -> v++
    :: else
    fi;
    if
    :: member && !linked && v > 0 -> w = l; place(t); l = (l == NONE -> w : l); w = 0
    :: else
    fi;
    atomic { store(t, WORD(0), v | KEEP); v = 0; w = l; leave(t); l = w; w = 0 }
    ready_thread(t)
}

inline kernel_wait(t) {
    atomic {
        enter(t);
        fetch_or(t, v);
        if
        :: v > 0 -> store(t, WORD(0), (v - 1) | KEEP); taken++; result = OK
        :: v == 0 ->
           record[t] = WAIT;
           waits_on[t] = AT_SEMAPHORE;
           queue!t;
           store(t, WORD(0), K)
        fi;
        v = 0;
        leave(t)
    }
    if
    :: result == OK
    :: else -> block(t)
    fi
}

inline kernel_set_wait(t) {
    do
    :: result == PENDING ->
       atomic {
           enter_set(t);
           if
           :: ready -> ready = 0; in_hand++; w = 1
           :: !ready -> record[t] = WAIT; waits_on[t] = AT_SET; set_queue!t; w = 0
           fi;
           leave_set(t)
       }
       if
       :: w == 0 -> block(t)
       :: w == 1 -> w = 0; take_member(t)
       fi
    :: result != PENDING -> break
    od
}

// With the member in hand.
inline take_member(t) {
    atomic {
        enter(t);
        if
        :: member -> linked = 0; fetch_or(t, v); w = 1
        :: !member
        fi
    }
    if
    :: w && v > 0 ->
       assert(!removed);
       taken++;
       result = OK;
       v--;
       l = NONE;
       if
       :: v > 0 -> place(t)
       :: v == 0
       fi;
       atomic { store(t, WORD(0), v | K); w = l; leave(t); l = w; w = 0 }
       ready_thread(t)
    :: w && v == 0 -> atomic { store(t, WORD(0), K); w = 0; leave(t) }
    :: !w -> leave(t)
    fi;
    atomic { v = 0; in_hand-- }
}

// Returns when no visit has the record in hand: the kernel waits for a grace period.
inline remove(t) {
#ifdef MUTANT_REMOVE_WITHOUT_DOOR
    atomic { acquire(t, LOCK(0)); member = 0 }
#else
    atomic { enter(t); member = 0 }
#endif
    atomic { enter_set(t); ready = 0; leave_set(t) }
    atomic {
        fetch_or(t, v);
        store(t, WORD(0), v | KEEP);
        v = 0;
#ifdef MUTANT_REMOVE_WITHOUT_DOOR
        release(t, LOCK(0))
#else
        leave(t)
#endif
    }
    in_hand == 0 -> removed = true
}

// Ends the victim's wait if nobody else does, as cancel_wait() does it. Once.
inline kill(t, victim) {
    l = NONE;
    w = alone_at[victim];
#ifdef MUTANT_KILL_WITHOUT_DOOR
    atomic {
        if
        :: w != NOTHING -> alone_at[victim] = NOTHING; record[victim] = DEAD; l = victim
        :: w == NOTHING -> claim(victim)
        fi
    }
#else
    if
    :: w == AT_SEMAPHORE ->
       atomic { enter(t); claim(victim); v = l; leave(t); l = v; v = 0 }
    :: w == AT_SET -> atomic { enter_set(t); claim(victim); leave_set(t) }
    :: w == NOTHING -> atomic { claim(victim) }
    fi;
#endif
    w = 0;
    if
    :: l != NONE && waits_on[victim] == AT_SEMAPHORE ->
       atomic {
           enter(t);
           if
           :: queue??[eval(victim)] -> queue??eval(victim)
           :: else
           fi;
           fetch_or(t, v);
           store(t, WORD(0), v | KEEP);
           v = 0;
           leave(t);
           l = victim
       }
    :: l != NONE && waits_on[victim] == AT_SET ->
       atomic {
           enter_set(t);
           if
           :: set_queue??[eval(victim)] -> set_queue??eval(victim)
           :: else
           fi;
           leave_set(t)
       }
    :: else
    fi;
    ready_thread(t)
}

inline claim(victim) {
    if
    :: record[victim] == WAIT -> record[victim] = DEAD; l = victim
    :: else
    fi
}

#include "paths.pml"

// --- the threads

// In user mode while K is clear, else through the door.
proctype signaller(byte t; byte n) {
    LOCALS;
    l = NONE;
    do
    :: n > 0 -> fast_signal(t); n--
    :: n == 0 -> break
    od;
    phase[t] = DONE
}

proctype taker(byte t; byte n) {
    LOCALS;
    l = NONE;
    do
    :: n > 0 && result != TIMED_OUT -> result = PENDING; fast_wait(t); n--
    :: else -> break
    od;
    phase[t] = DONE
}

proctype set_taker(byte t; byte n) {
    LOCALS;
    l = NONE;
    do
    :: n > 0 && result != TIMED_OUT -> result = PENDING; fast_set_wait(t); n--
    :: else -> break
    od;
    phase[t] = DONE
}

proctype killer(byte t; byte victim) {
    LOCALS;
    l = NONE;
    kill(t, victim);
    phase[t] = DONE
}

proctype remover(byte t) {
    LOCALS;
    l = NONE;
    remove(t);
    phase[t] = DONE
}

inline start() {
#ifdef SET
    member = 1;
    mem[WORD(0)] = K;
    mem[DOOR] = MEMBER;
#endif
#if defined(CONFIGURATION_PLAIN)
    run signaller(0, 2);
    run taker(1, 2);
    run taker(2, 1);
    run killer(3, 1)
#elif defined(CONFIGURATION_SET)
    run signaller(0, 2);
    run signaller(1, 1);
    run set_taker(2, 2);
    run set_taker(3, 1);
    phase[4] = DONE
#elif defined(CONFIGURATION_SET_KILL)
    run signaller(0, 2);
    run set_taker(1, 1);
    run set_taker(2, 2);
    run killer(3, 1)
#elif defined(CONFIGURATION_SET_MIXED)
    run signaller(0, 2);
    run signaller(1, 1);
    run set_taker(2, 2);
    run taker(3, 1)
#elif defined(CONFIGURATION_SET_REMOVE)
    run signaller(0, 2);
    run set_taker(1, 2);
    run remover(2);
    run taker(3, 1)
#endif
}

inline check() {
    assert(made == taken + VALUE(mem[WORD(0)]));
    assert(mem[LOCK(0)] == 0 && mem[SET_LOCK] == 0);
    assert(in_hand == 0);
    // A door is shut only for good.
    assert((mem[DOOR] == CLOSED) == shut);
    assert((mem[SET_DOOR] == CLOSED) == set_shut);
    assert(shut == (member -> linked || len(queue) > 0 : len(queue) > 1));
    assert(((mem[WORD(0)] & K) != 0) ==
           (member || len(queue) > 0 || mem[DOOR] >= THREAD(0)));
    assert(!member || VALUE(mem[WORD(0)]) == 0 || ready);
    for (t : 0 .. THREADS - 1) {
        assert(phase[t] != RUNNING && token[t] == 0);
        if
        :: phase[t] == BLOCKED && waits_on[t] == AT_SEMAPHORE ->
           assert(VALUE(mem[WORD(0)]) == 0);
           assert(queue??[eval(t)] || mem[DOOR] == THREAD(t))
        :: phase[t] == BLOCKED && waits_on[t] == AT_SET ->
           assert(!ready);
           assert(set_queue??[eval(t)] || mem[SET_DOOR] == THREAD(t))
        :: else
        fi
    }
}

init {
    byte t;
    atomic {
        start();
        for (t : 0 .. THREADS - 1) {
            run drain(t)
        }
        t = 0
    }
    timeout;
    atomic { check() }
}
