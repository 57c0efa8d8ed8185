// SPDX-License-Identifier: MIT
// Memory as x86 gives it: one store buffer per processor, locked instructions drain it, spin locks.
//
// Every thread of the model runs on its own processor. A plain store goes to the end of the
// processor's buffer and reaches memory later, in order, at any moment. A locked instruction waits
// until its own buffer is empty. A lock is released by a plain store, as on x86.
//
// Data that are touched only under a lock (queues, links, members) are written at once: the
// release is behind them in the same buffer, so the next holder always sees them.

// Addresses. The word of semaphore s is address s.
#define WORD(s) (s)
#define LOCK(s) (SEMAPHORES + (s))
#define SET_LOCK (2 * SEMAPHORES)
#define TABLE_LOCK (2 * SEMAPHORES + 1)
#define READY_HINT (2 * SEMAPHORES + 2)
#define DATA(p) (2 * SEMAPHORES + 3 + (p))
#define ADDRESSES (2 * SEMAPHORES + 3 + PRODUCERS)

// The word: bit K (bit 63 in the kernel, bit 7 here) and the value.
#define K 128
#define VALUE(w) ((w) & 127)

byte mem[ADDRESSES];
chan buffer[THREADS] = [3] of { byte, byte };
bool freed;                   // a check: the owner has reused the words' memory

inline store(t, address, value) {
    buffer[t]!address, value
}

// A load waits for the processor's own pending store to the same address. That gives the values
// that forwarding gives: between the two the thread does nothing that others could see.
inline load(t, address, result) {
    !(buffer[t]??[eval(address), _]) -> result = mem[address]
}

inline acquire(t, lock) {
    (empty(buffer[t]) && mem[lock] == 0) -> mem[lock] = 1
}

inline release(t, lock) {
    assert(mem[lock] == 1);
#ifdef MUTANT_UNLOCK_UNORDERED
    mem[lock] = 0
#else
    store(t, lock, 0)
#endif
}

// The processors' buffers reach memory.
proctype drain(byte t) {
    byte address, value;
    do
    :: atomic {
           buffer[t]?address, value ->
           assert(!(freed && address < SEMAPHORES));
           mem[address] = value;
           address = 0;
           value = 0
       }
    od
}
