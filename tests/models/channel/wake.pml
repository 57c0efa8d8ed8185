// SPDX-License-Identifier: MIT
// The wake-up protocol of channel structures (channel/wake.h): a ring, its two ends, two doorbells.
//
// Build with -DCONFIGURATION_<NAME>, and with -DMUTANT_<NAME> to leave one thing out. The steps
// P1 to P4 and S1 to S4 are those of channel/wake.h.
//
// Memory is as x86 gives it: every side runs on its own processor; a plain store goes to the end of
// its buffer and reaches memory later, in order; a full fence and a locked instruction wait until
// the own buffer is empty. A doorbell is a binary semaphore of the kernel, whose locked
// instructions empty the buffer as well. Indices count modulo 8 and begin just before the wrap.

#if defined(CONFIGURATION_RING)
#define ITEMS 4
#elif defined(CONFIGURATION_FINISH)
#define ITEMS 3
#define FINISH
#elif defined(CONFIGURATION_TWO_PUBLISHERS)
#define ITEMS 2
#else
#error "choose a configuration"
#endif

#define CAPACITY 2
#define MODULUS 8
#define START 6
#define DIFFERENCE(a, b) (((a) - (b)) & (MODULUS - 1))

#define PRODUCER 0
#define CONSUMER 1
#define SECOND 2  // the other publisher of CONFIGURATION_TWO_PUBLISHERS
#define SIDES 3
#define NOTHING 255

// Addresses.
#define INDEX(side) (side)
#define REQUEST(side) (SIDES + (side))
#define ENTRY(index) (2 * SIDES + ((index) & (CAPACITY - 1)))
#define FINISHED (2 * SIDES + CAPACITY)
#define ADDRESSES (2 * SIDES + CAPACITY + 1)

// A request: ASKED and the index at which to ring; 0 is none.
#define ASKED MODULUS
#define AT(request) ((request) & (MODULUS - 1))
#ifdef MUTANT_REACHED_IGNORES_WRAP
#define REACHED(request, index) ((request) >= ASKED && (index) >= AT(request))
#else
#define REACHED(request, index) \
    ((request) >= ASKED && DIFFERENCE(index, AT(request)) < MODULUS / 2)
#endif

byte mem[ADDRESSES];
chan buffer[SIDES] = [4] of { byte, byte };
bool bell[SIDES];

// Only for the check that rings never outnumber requests: requests without their ring so far.
byte unanswered[SIDES];

inline store(t, address, value) {
    buffer[t]!address, value
}

// No side loads what it stores itself, so nothing is forwarded.
inline load(address, result) {
    result = mem[address]
}

inline fence(t) {
    empty(buffer[t])
}

// The processors' buffers reach memory.
proctype drain(byte t) {
    byte address, value;
end:
    do
    :: atomic {
           buffer[t]?address, value ->
           mem[address] = value;
           address = 0;
           value = 0
       }
    od
}

inline ring(t, to) {
    atomic {
        fence(t) ->
        bell[to] = true;
        assert(unanswered[to] > 0);
        unanswered[to]--
    }
}

// P4.
inline claim_and_ring(t, to) {
#if defined(MUTANT_RING_WITHOUT_CLAIM)
    ring(t, to);
#elif defined(MUTANT_CLAIM_AFTER_RING)
    ring(t, to);
    store(t, REQUEST(to), 0);
#elif defined(MUTANT_CLAIM_WITHOUT_EXCHANGE)
    store(t, REQUEST(to), 0);
    ring(t, to);
#else
    atomic { fence(t) -> w = mem[REQUEST(to)]; mem[REQUEST(to)] = 0 }
    if
    :: w >= ASKED -> ring(t, to)
    :: w < ASKED
    fi;
#endif
    w = 0
}

// P2 to P4.
inline decide(t, to) {
#ifndef MUTANT_NO_PUBLISHER_FENCE
    fence(t);
#endif
    load(REQUEST(to), w);
    if
    :: REACHED(w, own) -> claim_and_ring(t, to)
    :: !REACHED(w, own) -> w = 0
    fi
}

// P1 to P4.
inline publish(t, to) {
    if
    :: published != own ->
       published = own;
#ifdef MUTANT_RING_BEFORE_PUBLISH
       decide(t, to);
       store(t, INDEX(t), own)
#else
       store(t, INDEX(t), own);
       decide(t, to)
#endif
    :: published == own
    fi
}

// Whatever it asked for, a side does not sleep when there is anything at all.
#ifdef MUTANT_CHECK_WANTS_ALL
#define ENOUGH(wanted) wanted
#else
#define ENOUGH(wanted) 1
#endif

// S1 to S4. `offset` is what available counts from (the capacity for a producer), `finished` a
// second reason not to sleep.
inline wait(t, from, wanted, offset, finished) {
#ifndef MUTANT_WAIT_DOES_NOT_PUBLISH
    publish(t, from);
#endif
    atomic {
        store(t, REQUEST(t), ASKED + DIFFERENCE(own + wanted, offset));
        unanswered[t]++
    }
#ifndef MUTANT_NO_SLEEPER_FENCE
    fence(t);
#endif
#ifndef MUTANT_NO_SECOND_CHECK
    load(INDEX(from), peer);
    if
    :: DIFFERENCE(peer + offset, own) >= ENOUGH(wanted) || finished -> store(t, REQUEST(t), 0)
    :: else ->
#else
    if
    :: true ->
#endif
       // Entering the kernel empties the buffer.
       atomic { len(buffer[t]) == 0 && bell[t] -> bell[t] = false }
    fi
}

#define LOCALS          \
    byte w;             \
    byte own = START;   \
    byte published = START; \
    byte peer = START;  \
    byte done

#ifndef CONFIGURATION_TWO_PUBLISHERS

proctype producer() {
    LOCALS;
    byte wanted;
    do
    :: done == ITEMS -> break
    :: done != ITEMS && DIFFERENCE(own, peer) != CAPACITY ->
#ifdef MUTANT_INDEX_BEFORE_ENTRY
       // The store of the index overtakes the entry's.
       own = DIFFERENCE(own + 1, 0);
       store(PRODUCER, INDEX(PRODUCER), own);
       store(PRODUCER, ENTRY(own - 1), done);
       done++;
#else
       store(PRODUCER, ENTRY(own), done);
       atomic { own = DIFFERENCE(own + 1, 0); done++ }
#endif
       if
       :: publish(PRODUCER, CONSUMER)
       :: true                           // a batch goes on
       fi
    :: done != ITEMS && DIFFERENCE(own, peer) == CAPACITY ->
       load(INDEX(CONSUMER), peer);
       if
       :: DIFFERENCE(own, peer) == CAPACITY ->
          // Asks for one place, or for all.
          if
          :: wanted = 1
          :: wanted = CAPACITY
          fi;
          wait(PRODUCER, CONSUMER, wanted, CAPACITY, false);
          wanted = 0
       :: DIFFERENCE(own, peer) != CAPACITY
       fi
    od;
    publish(PRODUCER, CONSUMER);
#ifdef FINISH
    store(PRODUCER, FINISHED, 1);
#ifndef MUTANT_FINISH_NO_FENCE
    fence(PRODUCER);
#endif
#ifdef MUTANT_FINISH_WAITS_FOR_INDEX
    decide(PRODUCER, CONSUMER)
#else
    load(REQUEST(CONSUMER), w);
    if
    :: w >= ASKED -> claim_and_ring(PRODUCER, CONSUMER)
    :: w < ASKED -> w = 0
    fi
#endif
#endif
}

#ifdef FINISH
#ifdef MUTANT_CHECK_IGNORES_FINISHED
#define ENDED false
#else
#define ENDED (mem[FINISHED] == 1)
#endif
#else
#define ENDED false
#endif

proctype consumer() {
    LOCALS;
    byte wanted;
    do
#ifndef FINISH
    :: done == ITEMS -> break
#endif
    :: DIFFERENCE(peer, own) != 0 ->
       // The entry is what the producer put there, and it is read before its place is given back.
       atomic {
           load(ENTRY(own), w);
           assert(w == done);
           w = 0;
           own = DIFFERENCE(own + 1, 0);
           done++
       }
       if
       :: publish(CONSUMER, PRODUCER)
       :: true
       fi
    :: DIFFERENCE(peer, own) == 0 && done != ITEMS + 1 ->
#ifdef FINISH
       load(FINISHED, w);
       if
       :: w == 1 ->
          w = 0;
#ifndef MUTANT_ENDED_WITHOUT_SECOND_LOOK
          load(INDEX(PRODUCER), peer);
#endif
          if
          :: DIFFERENCE(peer, own) == 0 -> assert(done == ITEMS); break
          :: DIFFERENCE(peer, own) != 0
          fi
       :: w == 0 ->
#else
       if
       :: done == ITEMS
       :: done != ITEMS ->
#endif
          load(INDEX(PRODUCER), peer);
          if
          :: DIFFERENCE(peer, own) == 0 ->
             if
             :: wanted = 1
#ifdef FINISH
             :: wanted = CAPACITY            // more than may come: the end must wake, too
#else
             :: ITEMS - done >= CAPACITY -> wanted = CAPACITY
#endif
             fi;
             wait(CONSUMER, PRODUCER, wanted, 0, ENDED);
             wanted = 0
          :: DIFFERENCE(peer, own) != 0
          fi
       fi
    od;
    publish(CONSUMER, PRODUCER)
}

init {
    atomic {
        mem[INDEX(PRODUCER)] = START;
        mem[INDEX(CONSUMER)] = START;
        mem[ENTRY(0)] = NOTHING;
        mem[ENTRY(1)] = NOTHING;
        run drain(PRODUCER);
        run drain(CONSUMER);
        run producer();
        run consumer()
    }
}

#else

// Two threads publish what one sleeper waits for, each with an index of its own and one request.
proctype publisher(byte t) {
    LOCALS;
    do
    :: done == ITEMS -> break
    :: done != ITEMS ->
       atomic { own = DIFFERENCE(own + 1, 0); done++ }
       publish(t, CONSUMER)
    od;
    peer = 0
}

proctype sleeper() {
    byte w;
    do
    :: true ->
       w = mem[INDEX(PRODUCER)] + mem[INDEX(SECOND)];
       if
       :: w == 0 -> break                   // both have done their two items: 6 to 8, modulo 8
       :: else
       fi;
       // Any progress of either: both indices have passed where they began.
       atomic { store(CONSUMER, REQUEST(CONSUMER), ASKED + START); unanswered[CONSUMER]++ }
       fence(CONSUMER);
       if
       :: mem[INDEX(PRODUCER)] + mem[INDEX(SECOND)] != w -> store(CONSUMER, REQUEST(CONSUMER), 0)
       :: else ->
          atomic {
              len(buffer[CONSUMER]) == 0 && bell[CONSUMER] -> bell[CONSUMER] = false
          }
       fi
    od
}

init {
    atomic {
        mem[INDEX(PRODUCER)] = START;
        mem[INDEX(SECOND)] = START;
        run drain(PRODUCER);
        run drain(SECOND);
        run drain(CONSUMER);
        run publisher(PRODUCER);
        run publisher(SECOND);
        run sleeper()
    }
}

#endif
