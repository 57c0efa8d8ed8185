// SPDX-License-Identifier: MIT
// A set bound to a table: server threads wait on the table for requests and for the set's events.
//
// The ready list belongs to the set's lock, which comes before the table's. So a server thread
// that found nothing ready takes the table's lock and looks once more at the hint that every
// change of the ready list stores; a signal stores the hint before it takes the table's lock.

// Serves one request or one event (result OK), or is killed on the way (TIMED_OUT).
inline reply_and_wait(t, killable, request_first) {
    result = PENDING;
    do
    :: true ->
       if
       :: request_first -> take_request(t)
       :: !request_first
       fi;
       if
       :: result == PENDING ->
          atomic {
              acquire(t, SET_LOCK);
              if
              :: len(ready) > 0 -> pop_ready(t); w = 1
              :: else -> w = 0
              fi;
              release(t, SET_LOCK)
          }
          if
          :: w == 1 ->
             take_member(t);
             if
             :: result == OK -> deliver_key(t)
             :: result != OK
             fi
          :: w == 0 -> table_wait(t, killable)
          fi
       :: result != PENDING
       fi;
       if
       :: result != PENDING -> break
       :: result == PENDING
       fi
    od
}

inline take_request(t) {
    atomic {
        acquire(t, TABLE_LOCK);
        if
        :: requests > 0 -> requests--; result = OK
        :: else
        fi;
        release(t, TABLE_LOCK)
    }
}

inline table_wait(t, killable) {
    atomic {
        acquire(t, TABLE_LOCK);
        w = 0;
        if
        :: requests > 0 -> requests--; result = OK
        :: else ->
#ifdef MUTANT_TABLE_NO_RECHECK
           if
           :: false
#else
           if
           :: mem[READY_HINT] > 0
#endif
           :: else -> record[t] = WAIT; set_waiter[t] = true; table_queue!t; w = 1
           fi
       fi;
       release(t, TABLE_LOCK)
    }
    if
    :: w == 1 ->
       block(t);
       atomic {
           w = 0;
           set_waiter[t] = false;
           record[t] = IDLE;
           if
           :: granted_request[t] -> granted_request[t] = 0; result = OK
           :: else
           fi
       }
       if
       :: killable && result == PENDING -> pass_wake_on(t); result = TIMED_OUT
       :: true
       fi
    :: w == 0
    fi
}

// A client's request: to the first waiting server thread, else into the table.
inline send_request(t) {
    atomic {
        acquire(t, TABLE_LOCK);
        l = NONE;
        do
        :: len(table_queue) > 0 ->
           table_queue?l;
           if
           :: record[l] == WAIT -> record[l] = GRANTED; granted_request[l] = 1; break
           :: else -> l = NONE
           fi
        :: len(table_queue) == 0 -> requests++; break
        od;
        release(t, TABLE_LOCK)
    }
    ready_thread(t, l)
}
