// SPDX-License-Identifier: MIT
// The fast paths through the doors, as in semaphore_paths.S and set_paths.S of the kernel.

// An exchange, which waits for nobody.
inline exchange_door(t, at) {
    empty(buffer[t]) -> d = mem[at];
    mem[at] = CLOSED
}

inline fast_signal(t) {
    atomic { made++; exchange_door(t, DOOR) }
    if
    :: d == CLOSED -> d = 0; kernel_signal(t)
    :: d >= THREAD(0) ->
       // Its K is cleared by a plain store: only the kernel writes the word.
       atomic {
           l = d - THREAD(0);
           assert(record[l] != WAIT);
           alone_at[l] = NOTHING;
           taken++;
#ifndef MUTANT_SIGNAL_LEAVES_K
           store(t, WORD(0), 0);
#endif
           store(t, DOOR, OPEN);
           d = 0
       }
       ready_thread(t)
    :: d == OPEN ->
       d = 0;
       atomic {
           empty(buffer[t]);
           w = (mem[WORD(0)] < K);
           mem[WORD(0)] = mem[WORD(0)] + w
       }
       store(t, DOOR, OPEN);
       if
       :: w -> w = 0
       :: !w -> kernel_signal(t)
       fi
    :: d == MEMBER -> d = 0; fast_event(t)
    fi
}

inline fast_event(t) {
    atomic { exchange_door(t, SET_DOOR) }
    if
    :: d >= THREAD(0) ->
       atomic {
           l = d - THREAD(0);
           assert(record[l] != WAIT && waits_on[l] == AT_SET);
           assert(member && !removed && len(queue) == 0);
           alone_at[l] = NOTHING;
           taken++;
#ifdef MUTANT_SET_DOOR_KEEPS_THREAD
           store(t, SET_DOOR, d);
#else
           store(t, SET_DOOR, OPEN);
#endif
           store(t, DOOR, MEMBER);
           d = 0
       }
       ready_thread(t)
    :: d < THREAD(0) ->
       if
       :: d == OPEN -> store(t, SET_DOOR, OPEN)
#ifdef MUTANT_UNDO_STORES_CLOSED
       :: d == CLOSED -> store(t, SET_DOOR, CLOSED)
#else
       :: d == CLOSED
#endif
       fi;
       atomic { d = 0; store(t, DOOR, MEMBER) }
       kernel_signal(t)
    fi
}

inline fast_wait(t) {
    atomic {
        empty(buffer[t]);
        w = (mem[DOOR] == OPEN);
        mem[DOOR] = (w -> CLOSED : mem[DOOR])
    }
    if
    :: !w -> kernel_wait(t)
    :: w ->
       atomic {
           empty(buffer[t]);
           w = mem[WORD(0)];
           mem[WORD(0)] = (w == 0 -> K : (w < K -> w - 1 : w))
       }
       if
       :: w == 0 ->
          atomic { alone_at[t] = AT_SEMAPHORE; waits_on[t] = AT_SEMAPHORE }
          store(t, DOOR, THREAD(t));
          block(t)
       :: w > 0 && w < K ->
          atomic { taken++; w = 0; result = OK; store(t, DOOR, OPEN) }
       :: w >= K -> atomic { w = 0; store(t, DOOR, OPEN) }; kernel_wait(t)
       fi
    fi
}

inline fast_set_wait(t) {
    atomic { alone_at[t] = AT_SET; waits_on[t] = AT_SET }
#ifdef MUTANT_SET_WAIT_STORES
    atomic { load(t, SET_DOOR, w) -> w = (w == OPEN) }
    if
    :: w -> store(t, SET_DOOR, THREAD(t))
    :: !w
    fi;
#else
    atomic {
        empty(buffer[t]);
        w = (mem[SET_DOOR] == OPEN);
        mem[SET_DOOR] = (w -> THREAD(t) : mem[SET_DOOR])
    }
#endif
    if
    :: w -> w = 0; block(t)
    :: !w -> atomic { alone_at[t] = NOTHING; waits_on[t] = NOTHING } kernel_set_wait(t)
    fi
}
