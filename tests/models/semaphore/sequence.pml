// SPDX-License-Identifier: MIT
// Sequence mode: a signal adds one and wakes everybody; wait(seen) returns when the value differs.

inline wait_sequence(t, s, seen) {
    atomic {
        load(t, WORD(s), w) ->
        w = VALUE(w);
        result = (w != seen -> OK : PENDING)
    }
    if
    :: result == OK -> atomic { link_value[t] = w; w = 0 }
    :: else -> w = 0; kernel_wait_sequence(t, s, seen)
    fi
}

inline kernel_wait_sequence(t, s, seen) {
    atomic {
        acquire(t, LOCK(s));
        fetch_or(t, s, v);
        if
#ifndef MUTANT_SEQUENCE_NO_RECHECK
        :: v != seen ->
           store(t, WORD(s), v | KEEP(s));
           link_value[t] = v;
           result = OK
        :: else ->
#else
        :: true ->
#endif
           record[t] = WAIT;
           waits_on[t] = 1 << s;
           link_seen[t] = seen;
           queue[s]!t
        fi;
        release(t, LOCK(s));
        v = 0
    }
    if
    :: result == OK
    :: else ->
       block(t);
       atomic {
           result = (record[t] == GRANTED -> OK : TIMED_OUT);
           record[t] = IDLE;
           granter[t] = 0;
           link_seen[t] = 0;
           waits_on[t] = 0
       }
    fi
}

// Wakes in chunks (of one here, 64 in the kernel). Waiters queue in the order of the value that
// they have seen, so the loop ends at the first one that has seen the current value: those who
// come back to wait while the loop runs cannot keep it going.
#ifdef SEQUENCE
inline kernel_signal(t, s) {
    atomic {
        acquire(t, LOCK(s));
        fetch_or(t, s, v);
        v = v + 1;
        w = 0;
        l = NONE
    }
    do
    :: true ->
       if
       :: len(queue[s]) > 0 -> queue[s]?<l>
       :: len(queue[s]) == 0
       fi;
       if
       :: l != NONE && link_seen[l] != v ->
          atomic {
              queue[s]?l;
              if
              :: record[l] == WAIT ->
                 record[l] = GRANTED; granter[l] = s; link_value[l] = v
              :: else -> l = NONE
              fi
          }
#ifdef MUTANT_SEQUENCE_WAKES_ONE
          atomic { store(t, WORD(s), v | KEEP(s)); release(t, LOCK(s)) }
          ready_thread(t, l);
          break
#else
          atomic { store(t, WORD(s), v | KEEP(s)); release(t, LOCK(s)) }
          ready_thread(t, l);
#ifdef MUTANT_SEQUENCE_CHUNK_OLD_VALUE
          atomic { acquire(t, LOCK(s)); fetch_or(t, s, w); w = 0; l = NONE }
#else
          atomic { acquire(t, LOCK(s)); fetch_or(t, s, v); l = NONE }
#endif
#endif
       :: l == NONE || link_seen[l] == v ->
          l = NONE;
          if
          :: member[s] != 0 ->
             atomic { store(t, WORD(s), v | K); i = member[s] - 1 }
             if
             :: last[i] != v -> link_member(t, i)
             :: last[i] == v
             fi;
             atomic { release(t, LOCK(s)) }
          :: member[s] == 0 ->
             atomic { store(t, WORD(s), v | KEEP(s)); release(t, LOCK(s)) }
          fi;
          atomic { v = 0; i = 0; ready_thread(t, l) }
          break
       fi
    od
}
#endif
