// SPDX-License-Identifier: MIT
// wait_any by places that an earlier wait_any left in queues (WaitLink, kernel/schedule/thread.h).
//
// One thread waits several times, for lists of two semaphores and for one by itself. Its link i
// stands for entry i of the list and stays in its queue after the wait. Steps, in this order:
//
//   thread (re-arms)                            signal, under its semaphore's lock
//   T1 a link that stands for another           S1 pop a link, clear `queued`
//      semaphore leaves its queue, by lock      S2 load the record
//   T2 name the wait in the links               S3 load the link's wait; the same, and the record
//   T3 record := arming, this wait                 arming or waiting: compare-and-exchange it to
//   T4 a link that is `queued` is done;            granted, by this index
//      any other queues under the lock          S4 clear the link's semaphore
//   T5 record: arming to waiting, sleep         S5 nobody granted: the unit goes to the count
//
// T3 and S1 are locked instructions, so each step is one access as others see it. The word and K
// are not here: ../semaphore has them. A unit is a number under the lock.

#define NONE 255
#define LINKS 3   // two of wait_any, and the one of a plain wait
#define PLAIN 2

#define IDLE 0
#define ARMING 1
#define WAITING 2
#define GRANTED 3
#define DEAD 4

#define WAITS 2
#define UNITS 2

byte record, record_wait, record_index;   // change together
byte granter;                             // a check: whose unit it was
byte link_semaphore[LINKS] = NONE;
bit link_queued[LINKS];
byte link_wait[LINKS];
chan queue[2] = [LINKS] of { byte };
bit lock[2];
byte value[2];
bit token;
byte made[2], taken[2];
byte list[2];        // the semaphores of the wait under way
bit asleep;
bit plain;           // it is a plain wait, for list[0]

inline acquire(s) { atomic { lock[s] == 0 -> lock[s] = 1 } }

inline signal_one(s) {
    made[s]++;
    acquire(s);
    do
    :: len(queue[s]) > 0 ->
#ifdef MUTANT_CLEARS_QUEUED_LATE
       queue[s]?l;
#else
       atomic { queue[s]?l; link_queued[l] = 0 }                         // S1
#endif
#ifdef MUTANT_UNLINKS_FIRST
       link_semaphore[l] = NONE;
#endif
       atomic { r = record; w = record_wait; x = record_index }          // S2
       atomic {                                                          // S3
           won = IDLE;
           if
#ifdef MUTANT_NO_NUMBERS
           :: (r == ARMING || r == WAITING) ->
#else
           :: (r == ARMING || r == WAITING) && w == link_wait[l] ->
#endif
              skip
           :: else -> r = IDLE
           fi
       }
       if
       :: r != IDLE ->
          do
          :: atomic {
                record == r && record_wait == w ->
                won = r;
                record = GRANTED;
                record_index = (l == PLAIN -> 0 : l);
                granter = s;
                break
             }
          :: atomic {
                !(record == r && record_wait == w) ->
                if
                // From arming to waiting, of the same wait.
                :: record == WAITING && r == ARMING && record_wait == w -> r = WAITING
                :: else -> break
                fi
             }
          od
       :: else
       fi;
#ifdef MUTANT_CLEARS_QUEUED_LATE
       link_queued[l] = 0;
#endif
#ifndef MUTANT_UNLINKS_FIRST
       link_semaphore[l] = NONE;                                         // S4
#endif
       if
       :: won != IDLE -> break
       :: else
       fi
    :: len(queue[s]) == 0 -> value[s]++; break                           // S5
    od;
    lock[s] = 0;
    atomic {
        if
        :: won == WAITING -> assert(!token); token = 1
        :: else
        fi;
        won = IDLE; l = 0; r = 0; w = 0; x = 0
    }
}

proctype signaller(byte s; byte n) {
    byte l, r, w, x, won;
    do
    :: n > 0 -> signal_one(s); n--
    :: n > 0 -> n = 0     // or fewer
    :: n == 0 -> break
    od
}

// A deadline that comes in any wait, once.
proctype expirer() {
    byte w;
    if
    :: true
    :: atomic { record == WAITING -> w = record_wait }
       atomic {
           if
           :: record == WAITING && record_wait == w ->
              record = DEAD;
              assert(!token);
              token = 1
           :: else
           fi
       }
    fi
}

inline unqueue(i, s) {
    acquire(s);
    atomic {
        if
        :: link_semaphore[i] == s ->
           queue[s]??eval(i);
           link_queued[i] = 0;
           link_semaphore[i] = NONE
        :: else
        fi
    }
    lock[s] = 0
}

// Ends the wait whose record is granted: the unit of the entry with that index.
inline take_granted() {
    atomic {
        assert(granter == list[record_index]);
        taken[list[record_index]]++
    }
}

inline sleep() {
    asleep = 1;
    atomic { token -> token = 0; asleep = 0 }
    if
    :: record == GRANTED -> take_granted()
    :: else
    fi
}

inline wait_any(poll) {
    number++;
    i = 0;
    do
    :: i < 2 ->
#ifndef MUTANT_KEEPS_OTHERS
       s = link_semaphore[i];
       if
       :: s != NONE && s != list[i] -> unqueue(i, s)                     // T1
       :: else
       fi;
#endif
       link_wait[i] = number;                                            // T2
       i++
    :: i == 2 -> break
    od;
#ifdef MUTANT_LOOKS_BEFORE_ARMING
    early0 = link_queued[0]; early1 = link_queued[1];
#endif
    atomic { record = ARMING; record_wait = number; i = 0; done = 0 }    // T3
    do
    :: i < 2 && !done ->                                                 // T4
       if
#ifdef MUTANT_LOOKS_BEFORE_ARMING
       :: (i == 0 && early0) || (i == 1 && early1) -> skip
#elif defined(MUTANT_TRUSTS_SEMAPHORE)
       :: link_semaphore[i] != NONE -> skip
#else
       :: link_queued[i] -> skip
#endif
       :: else ->
          s = list[i];
          acquire(s);
          if
          :: value[s] > 0 ->
             atomic {
                 if
                 :: record == ARMING -> record = IDLE; value[s]--; taken[s]++; done = 1
                 :: else -> done = 2       // granted meanwhile
                 fi
             }
          :: value[s] == 0 && !poll ->
             atomic {
                 assert(!(queue[s]??[eval(i)]));
                 link_semaphore[i] = s; link_queued[i] = 1; queue[s]!i
             }
          :: value[s] == 0 && poll
          fi;
          lock[s] = 0
       fi;
       i++
    :: i == 2 || done -> break
    od;
    if
    :: done == 1
    :: done != 1 ->
       atomic {                                                          // T5
           if
           :: record == ARMING && poll ->
#ifndef MUTANT_POLL_STAYS_ARMED
              record = IDLE;
#endif
              done = 3
           :: record == ARMING && !poll -> record = WAITING; done = 0
           :: record == GRANTED -> done = 2
           fi
       }
       if
       :: done == 0 -> sleep()
       :: done == 2 -> take_granted()
       :: done == 3
       fi
    fi;
    atomic { i = 0; s = 0; done = 0 }
}

// A wait for list[0] by its own link, as wait() with a deadline does it.
inline wait_plain() {
    number++;
    s = list[0];
    acquire(s);
    if
    :: value[s] > 0 -> value[s]--; taken[s]++; lock[s] = 0
    :: else ->
       atomic {
           link_semaphore[PLAIN] = s;
           link_queued[PLAIN] = 1;
           queue[s]!PLAIN;
           link_wait[PLAIN] = number;
           record = WAITING;
           record_wait = number;
           lock[s] = 0
       }
       sleep();
       if
       :: record == DEAD && link_semaphore[PLAIN] != NONE -> unqueue(PLAIN, s)
       :: else
       fi
    fi;
    s = 0
}

proctype waiter() {
    byte number, i, s, n, done;
#ifdef MUTANT_LOOKS_BEFORE_ARMING
    bit early0, early1;
#endif
    list[0] = 0;
    list[1] = 1;
    wait_any(0);
    n = 1;
    do
    :: n < WAITS ->
#ifdef CONFIGURATION_LISTS
       if
       :: list[0] = 0; list[1] = 1
       :: list[0] = 1; list[1] = 0
       fi;
       wait_any(0);
#endif
#ifdef CONFIGURATION_PLAIN
       plain = 1;
       list[0] = 1;
       wait_plain();
#endif
#ifdef CONFIGURATION_POLL
       wait_any(1);
       wait_any(0);
#endif
       n++
    :: n == WAITS -> break
    od
}

init {
    byte s;
    atomic {
        run waiter();
        run signaller(0, UNITS);
        run signaller(1, UNITS);
        run expirer()
    }
    timeout;
    atomic {
        for (s : 0 .. 1) {
            assert(lock[s] == 0);
            // Nothing lost, nothing doubled.
            assert(made[s] == taken[s] + value[s]);
        }
        // Nobody sleeps while there is a unit.
        if
        :: asleep -> assert(value[list[0]] == 0 && (plain || value[list[1]] == 0))
        :: else -> assert(!token)
        fi
    }
}
