// SPDX-License-Identifier: MIT
// wait_any: one thread, one record, links on several semaphores. The record decides.
//
// 1. For each entry, under that semaphore's lock: if a unit is there, claim the record
//    (WAIT to GRANTED) and only then take the unit; else queue a link.
// 2. A thread that did not claim its record itself blocks, even if it already sees GRANTED or DEAD:
//    whoever changed the record owes it exactly one ready().
// 3. What is left of its links it unlinks, each under its semaphore's lock, and recomputes K there.
//    A signal skips (and pops) links of dead records. Here the thread does so before it leaves the
//    kernel; the kernel leaves links where they are until the thread waits for something else or
//    ends, and what lets it do that is modelled in ../places.
// 4. A link that it reads to be in no queue any more it leaves alone, without a lock. So whoever
//    pops a link says so only after the record was looked at.

inline wait_any(t) {
    atomic {
        record[t] = WAIT;
        result = PENDING;
        waits_on[t] = (1 << SEMAPHORES) - 1;
        i = 0
    }
    do
    :: i < SEMAPHORES && result == PENDING ->
       atomic {
           acquire(t, LOCK(i));
           fetch_or(t, i, v)
       }
       if
       :: v > 0 ->
          // The claim is a step of its own: the record belongs to no single lock.
          atomic {
#ifdef MUTANT_ANY_TAKES_WITHOUT_CLAIM
              if
              :: true ->
#else
              if
              :: record[t] == WAIT ->
#endif
                 record[t] = GRANTED;
                 taken[i]++;
                 result = OK;
                 store(t, WORD(i), (v - 1) | KEEP(i))
#ifndef MUTANT_ANY_TAKES_WITHOUT_CLAIM
              :: else -> store(t, WORD(i), v | KEEP(i))
#endif
              fi;
              release(t, LOCK(i))
          }
       :: v == 0 -> atomic { queue[i]!t; LINK(t, i); release(t, LOCK(i)) }
       fi;
       atomic { v = 0; i++ }
    :: i == SEMAPHORES || result != PENDING -> break
    od;
    atomic {
        i = 0;
        if
        :: result == OK -> record[t] = IDLE; waits_on[t] = 0
        :: else
        fi
    }
    if
    :: result == OK
#ifdef MUTANT_ANY_SKIPS_BLOCK
    :: result != OK && record[t] != WAIT -> granted_or_dead(t)
    :: result != OK && record[t] == WAIT -> block(t); granted_or_dead(t)
#else
    :: result != OK -> block(t); granted_or_dead(t)
#endif
    fi;
#ifndef MUTANT_ANY_LEAVES_LINKS
    do
    :: i < SEMAPHORES -> unlink(t, i); i++
    :: i == SEMAPHORES -> i = 0; break
    od
#endif
}
