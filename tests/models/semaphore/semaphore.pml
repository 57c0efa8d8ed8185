// SPDX-License-Identifier: MIT
// The semaphore and semaphore set protocol: configurations and the checks at rest.
//
// Build with -DCONFIGURATION_<NAME>, and with -DMUTANT_<NAME> to break one thing.

#if defined(CONFIGURATION_COUNTING)
#define THREADS 4
#elif defined(CONFIGURATION_REUSE)
#define THREADS 2
#elif defined(CONFIGURATION_TIMEOUT)
#define THREADS 5
#elif defined(CONFIGURATION_TIMEOUT_CLAIM)
#define THREADS 5
#define CLAIM_ONLY
#elif defined(CONFIGURATION_ANY)
#define LINKS_ARE_READ
#define THREADS 5
#define CLAIM_ONLY
#define SEMAPHORES 2
#define SKIP_LIMIT 1
#elif defined(CONFIGURATION_ANY_SKIP)
#define LINKS_ARE_READ
#define THREADS 4
#define SEMAPHORES 2
#define SKIP_LIMIT 1
#elif defined(CONFIGURATION_BINARY)
#define THREADS 3
#define BINARY
#define PRODUCERS 2
#elif defined(CONFIGURATION_SEQUENCE)
#define THREADS 4
#define SEQUENCE
#define PRODUCERS 1
#elif defined(CONFIGURATION_SEQUENCE_TWO)
#define THREADS 4
#define SEQUENCE
#define PRODUCERS 2
#elif defined(CONFIGURATION_SET)
#define THREADS 5
#define SEMAPHORES 2
#elif defined(CONFIGURATION_SET_KILL)
#define THREADS 5
#define SEMAPHORES 2
#elif defined(CONFIGURATION_SET_MIXED)
#define THREADS 5
#elif defined(CONFIGURATION_SET_REMOVE)
#define THREADS 5
#define GENERATIONS 2
#elif defined(CONFIGURATION_SET_SEQUENCE)
#define THREADS 4
#define SEQUENCE
#elif defined(CONFIGURATION_TABLE)
#define THREADS 4
#define TABLE
#else
#error "choose a configuration"
#endif

#ifndef SEMAPHORES
#define SEMAPHORES 1
#endif
#ifndef PRODUCERS
#define PRODUCERS 0
#endif
#ifndef GENERATIONS
#define GENERATIONS 1
#endif
#ifndef SKIP_LIMIT
#define SKIP_LIMIT 64
#endif

#include "memory.pml"
#include "protocol.pml"
#include "set.pml"
#include "any.pml"
#include "sequence.pml"
#include "table.pml"

#if PRODUCERS > 0
byte consumed[PRODUCERS];
#endif

// Signals up to n times.
proctype signaller(byte t; byte s; byte n) {
    LOCALS;
    do
    :: n > 0 -> up(t, s); n--
    :: n > 0 -> n = 0
    :: n == 0 -> break
    od;
    phase[t] = DONE
}

proctype taker(byte t; byte s; byte n) {
    LOCALS;
    do
    :: n > 0 ->
       down(t, s);
       atomic { n--; result = PENDING }
    :: n == 0 -> break
    od;
#ifdef CONFIGURATION_REUSE
    // The owner writes something else there; that store is behind the thread's earlier ones.
    atomic { empty(buffer[t]) -> freed = true };
#endif
    phase[t] = DONE
}

proctype poller(byte t; byte s) {
    LOCALS;
    kernel_poll(t, s);
    phase[t] = DONE
}

// A time-out or kill may come while the victim waits, or never.
proctype expirer(byte t; byte victim; byte s) {
    LOCALS;
    if
    :: true
    :: record[victim] == WAIT ->
#if defined(CLAIM_ONLY)
       expire_claim(t, victim)
#elif defined(CONFIGURATION_SET_KILL)
       expire_set(t, victim)
#else
       expire_locked(t, victim, s)
#endif
    fi;
    phase[t] = DONE
}

proctype any_taker(byte t; byte n; byte then_down) {
    LOCALS;
    do
    :: n > 0 -> wait_any(t); result = PENDING; n--
    :: n == 0 -> break
    od;
    if
    :: then_down != NONE -> down(t, then_down); result = PENDING
    :: else
    fi;
    phase[t] = DONE
}

#if PRODUCERS > 0
// Publishes n versions of its datum, each by a plain store and then a signal.
proctype producer(byte t; byte p; byte n) {
    LOCALS;
    byte version;
    do
    :: version < n -> version++; store(t, DATA(p), version); up(t, 0)
    :: version == n -> break
    od;
    phase[t] = DONE
}

// Consumes for ever: waits, then reads everything that was published.
proctype consumer(byte t) {
    LOCALS;
    byte seen;
    do
    :: true ->
#ifdef SEQUENCE
       wait_sequence(t, 0, seen);
       if
       :: result == OK -> assert(link_value[t] != seen); seen = link_value[t]
       :: result != OK -> break
       fi;
#else
       down(t, 0);
#endif
       atomic { result = PENDING; link_value[t] = 0 }
       do
       :: i < PRODUCERS -> atomic { load(t, DATA(i), w) -> consumed[i] = w; w = 0; i++ }
       :: i == PRODUCERS -> i = 0; break
       od
    od;
    phase[t] = DONE
}

// Waits for one update, and may be timed out.
proctype watcher(byte t; byte s) {
    LOCALS;
#ifdef SEQUENCE
    wait_sequence(t, s, 0);
    if
    :: result == OK -> assert(link_value[t] != 0)
    :: result != OK
    fi;
#endif
    phase[t] = DONE
}
#endif

#ifndef TABLE
proctype set_taker(byte t; byte n; bit killable) {
    LOCALS;
    do
    :: n > 0 ->
       set_wait(t, killable);
       n = (result == TIMED_OUT && killable -> 0 : n - 1)
    :: n == 0 -> result = PENDING; break
    od;
    phase[t] = DONE
}
#else
proctype server(byte t; bit killable) {
    LOCALS;
    bit request_first;
    do
    :: true ->
       reply_and_wait(t, killable, request_first);
       request_first = 1 - request_first;
       if
       :: result == TIMED_OUT -> break
       :: result == OK
       fi
    od;
    phase[t] = DONE
}

proctype client(byte t; byte n) {
    LOCALS;
    do
    :: n > 0 -> send_request(t); n--
    :: n == 0 -> break
    od;
    phase[t] = DONE
}
#endif

proctype adder(byte t; byte s) {
    LOCALS;
    byte m = s;
    set_add(t, s, m);
    phase[t] = DONE
}

proctype remover(byte t; byte s) {
    LOCALS;
    set_remove(t, s);
    phase[t] = DONE
}

// Adds the semaphore under a second record as soon as it is no member, which may be before the
// remove() of the first has returned. Or never.
proctype adder_again(byte t; byte s) {
    LOCALS;
    byte m = s + SEMAPHORES;
    if
    :: true
    :: member[s] == 0 -> set_add(t, s, m)
    fi;
    phase[t] = DONE
}

inline make_member(s) {
    member[s] = s + 1;
    mem[WORD(s)] = mem[WORD(s)] | K
}

inline start() {
#if defined(CONFIGURATION_COUNTING)
    run signaller(0, 0, 2);
    run signaller(1, 0, 1);
    run taker(2, 0, 2);
    run taker(3, 0, 2)
#elif defined(CONFIGURATION_REUSE)
    run signaller(0, 0, 1);
    run taker(1, 0, 1)
#elif defined(CONFIGURATION_TIMEOUT)
    run signaller(0, 0, 2);
    run taker(1, 0, 2);
    run taker(2, 0, 1);
    run expirer(3, 1, 0);
    run poller(4, 0)
#elif defined(CONFIGURATION_TIMEOUT_CLAIM)
    run signaller(0, 0, 2);
    run taker(1, 0, 2);
    run taker(2, 0, 1);
    run expirer(3, 1, 0);
    run expirer(4, 2, 0)
#elif defined(CONFIGURATION_ANY)
    run any_taker(0, 1, 1);
    run taker(1, 1, 1);
    run signaller(2, 0, 1);
    run signaller(3, 1, 1);
    run expirer(4, 0, 0)
#elif defined(CONFIGURATION_ANY_SKIP)
    run any_taker(0, 1, NONE);
    run any_taker(1, 1, NONE);
    run signaller(2, 0, 1);
    run signaller(3, 1, 2)
#elif defined(CONFIGURATION_BINARY)
    run producer(0, 0, 2);
    run producer(1, 1, 2);
    run consumer(2)
#elif defined(CONFIGURATION_SEQUENCE)
    run producer(0, 0, 2);
    run consumer(1);
    run watcher(2, 0);
    run expirer(3, 2, 0)
#elif defined(CONFIGURATION_SEQUENCE_TWO)
    run producer(0, 0, 1);
    run producer(1, 1, 1);
    run consumer(2);
    run watcher(3, 0)
#elif defined(CONFIGURATION_SET)
    mem[WORD(0)] = 1;
    made[0] = 1;
    make_member(1);
    run adder(0, 0);
    run signaller(1, 0, 1);
    run signaller(2, 1, 1);
    run set_taker(3, 2, 0);
    run set_taker(4, 1, 0)
#elif defined(CONFIGURATION_SET_KILL)
    make_member(0);
    make_member(1);
    run signaller(0, 0, 1);
    run signaller(1, 1, 1);
    run set_taker(2, 1, 1);
    run set_taker(3, 2, 0);
    run expirer(4, 2, 0)
#elif defined(CONFIGURATION_SET_MIXED)
    make_member(0);
    run signaller(0, 0, 2);
    run signaller(1, 0, 1);
    run set_taker(2, 2, 0);
    run taker(3, 0, 1);
    run expirer(4, 3, 0)
#elif defined(CONFIGURATION_SET_REMOVE)
    make_member(0);
    run signaller(0, 0, 2);
    run set_taker(1, 2, 0);
    run set_taker(2, 1, 0);
    run remover(3, 0);
    run adder_again(4, 0)
#elif defined(CONFIGURATION_SET_SEQUENCE)
    make_member(0);
    run signaller(0, 0, 2);
    run signaller(1, 0, 1);
    run set_taker(2, 3, 0);
    run set_taker(3, 3, 0)
#elif defined(CONFIGURATION_TABLE)
    make_member(0);
    run signaller(0, 0, 2);
    run client(1, 2);
    run server(2, 1);
    run server(3, 0)
#endif
}

// At rest nothing can move any more: every thread is done or blocked, every buffer is empty.
inline check_threads() {
    for (t : 0 .. THREADS - 1) {
        assert(phase[t] != RUNNING);
        assert(token[t] == 0);
        if
        :: phase[t] == BLOCKED && set_waiter[t] ->
           assert(len(ready) == 0);
           assert(requests == 0)
        :: phase[t] == BLOCKED && !set_waiter[t] ->
           for (s : 0 .. SEMAPHORES - 1) {
               if
               :: (waits_on[t] >> s) & 1 ->
                  assert(queue[s]??[eval(t)]);
#ifdef SEQUENCE
                  assert(VALUE(mem[WORD(s)]) == link_seen[t])
#else
                  assert(VALUE(mem[WORD(s)]) == 0)
#endif
               :: else
               fi
           }
        :: else
        fi
    }
}

inline check_semaphores() {
    for (s : 0 .. SEMAPHORES - 1) {
        assert(mem[LOCK(s)] == 0);
        assert((mem[WORD(s)] & K) == KEEP(s));
#ifdef BINARY
        assert(VALUE(mem[WORD(s)]) <= 1);
#endif
#ifndef BINARY
        assert(made[s] == taken[s] + VALUE(mem[WORD(s)]));
#endif
        for (t : 0 .. THREADS - 1) {
            if
            :: queue[s]??[eval(t)] ->
               assert(phase[t] == BLOCKED && record[t] == WAIT && (waits_on[t] >> s) & 1)
            :: else
            fi
        }
        if
        :: member[s] != 0 && VALUE(mem[WORD(s)]) != last[member[s] - 1] ->
           assert(ready??[eval(member[s] - 1)])
        :: else
        fi
    }
    for (t : 0 .. MEMBERS - 1) {
        assert(in_hand[t] == 0)
    }
}

init {
    byte t, s;
    atomic {
        start();
        for (t : 0 .. THREADS - 1) {
            run drain(t)
        }
        t = 0
    }
    timeout;
    atomic {
        check_threads();
        check_semaphores();
#if PRODUCERS > 0
        for (t : 0 .. PRODUCERS - 1) {
            assert(consumed[t] == mem[DATA(t)])
        }
#endif
    }
}
