// SPDX-License-Identifier: MIT
// Table: a server's end. Through it the kernel delivers requests for the objects that it serves.
//
// A table has N request slots, allocated with it. Slot i owns block i of the table's data memory.
//
//   free -> reserved (a waiting server thread owns it)  -> taken -> replied -> free
//        -> granted  (a client copies its bytes in) -> queued -^      |
//                                                   orphan (the client left; a reply frees it)
//
// Requests. A client that finds a waiting server thread hands the CPU to it; otherwise its request
// is queued in order; without a free slot the client itself is queued. Above half full no client
// (the budget that pays for the object) holds more than its share of the slots.
// A close notice comes when no request for its object is queued any more, so a server may forget an
// object that it was told of.
// Copies happen only in the client's address space: bytes in before the request is queued, without
// locks; bytes out as the client's own last step; both by the fast paths in the door, if they are
// few. So a slot being copied belongs to its client. For operations of rings: table_ring.cpp.
// Events. A semaphore set can be bound to a table: its events go to the waiting server threads, or
// stay in the set, and then `events_ready_` says so. Requests and events alternate when both wait.
// The set's lock comes before the table's, and every change of `events_ready_` happens under both:
// a server thread that finds it false under the table's lock can begin to wait.
// The end of a table (its last handle, shutdown, a broken protocol) completes every request;
// objects that it served answer server_died (or faulted).
//
// Locking: `lock_` (rank `table`), whose holder keeps the door shut. The door is what the fast
// paths take instead: closed, or the list of the waiting server threads that own a slot. It is open
// between holders only while the table is plain (plain_locked). Whether a thread still waits for a
// slot, an answer or a request is decided under the lock or in the door, and nowhere else
// (Thread::request, Thread::table, WaitingList); an operation's wait by its record.
#pragma once

#include "base/priority_counts.h"
#include "kernel/object/object.h"
#include "kernel/object/semaphore.h"
#include "kernel/object/waiting_list.h"
#include "kernel/schedule/thread.h"

#include <cstddef>
#include <utility>

namespace annulus::kernel {

class Budget;
class SemaphoreSet;
class Table;
struct CloseNotice;
struct RecordOfTable;
struct ClientOfTable;
struct SetEventTaken;
struct SlotQueue;
struct RingOperation;

// What a table knows of one client (a budget): how many slots it holds.
struct TableClient : ListNode<ClientOfTable> {
    uint64_t key = 0;  // the budget's, so it names the client also after all records are gone
    Budget* budget = nullptr;
    uint32_t held = 0;
    uint32_t records = 0;  // served objects that refer to this; freed with the last
};

// An object that a server exposes.
class ServedObject final : public Object,
                           public ListNode<RecordOfTable>,
                           public ListNode<CloseNotice> {
public:
    ServedObject(Budget* payer, uint32_t size);

    // Offsets of these are known to assembly. `entrance` is the table as the fast paths see it:
    // what is behind the door that they try.
    Table* entrance;
    uint64_t cookie = 0;
    TableClient* client = nullptr;
    // Null from the table's end, or that of the last handle, on; changed under the table's lock.
    // Release: pairs with the acquire of who looks without: he sees the end_status.
    std::atomic<Table*> table{nullptr};
    Status end_status;    // once table is null: what calls answer
    uint32_t queued = 0;  // requests for it in the table's queue; guarded by its lock
    WatchList death_watches;

    static const ObjectKind kind_table;
};

// taken_for_ring: as taken, but the client is an operation.
enum class SlotState : uint8_t {
    free,
    reserved,
    granted,
    queued,
    taken,
    replied,
    orphan,
    taken_for_ring
};

struct RequestSlot : ListNode<SlotQueue> {
    // Offsets of these are known to assembly.
    uint64_t id = 0;  // of the request in it, or the next one
    // The thread that waits for the answer, while a request is taken that has no room for bytes;
    // else null. The fast paths change nothing else to take such a request into a reserved slot,
    // and to answer it.
    Thread* caller = nullptr;
    TableClient* account = nullptr;  // while a request has the slot
    std::byte* block = nullptr;      // the first page of its block, or all of it
    Table* table = nullptr;

    uint8_t moved_mask = 0;  // queued: words that are busy handles of the client
    uint8_t priority = 0;
    uint8_t hops = 0;
    // Where the handles of the request `general_id` are: the words of this mask, in the process of
    // the thread that took it.
    uint8_t arrived_mask = 0;
    // The last request that was taken on the general way. The fast paths leave this, the mask, the
    // process and the header as they are, so the id says whether these still count.
    uint64_t general_id = 0;
    uint64_t arrived_in = 0;   // Process::id()
    Thread* client = nullptr;  // who waits or is about to, if it is not `caller`; or null
    uint64_t cookie = 0;
    uint64_t header = 0;
    uint64_t lengths = 0;  // bytes in | capacity out << 32; no capacity while `reserved`
    uint64_t words[6] = {};
    uint64_t deadline = 0;
    uint32_t next_free = 0;              // index + 1 while free
    uint32_t bytes_out = 0;              // replied: to be copied to the client
    bool copying = false;                // the client is copying bytes right now, in the kernel
    ServedObject* object = nullptr;      // queued: what it is for
    RingOperation* operation = nullptr;  // in the place of `client`: of a ring

    SlotState state() const { return caller != nullptr ? SlotState::taken : kept_; }
    // The words that are handles which came with the request in the slot.
    unsigned arrived() const { return general_id == id ? arrived_mask : 0; }
    // Whether the answer to that request may bring other handles.
    bool takes_handles() const {
        return general_id == id && (header & abi::header_takes_handles) != 0;
    }
    bool is_held() const { return state() != SlotState::free && state() != SlotState::reserved; }
    // `caller` is null.
    void set_state(SlotState state) { kept_ = state; }
    // A server thread has the request of `client` now.
    void take() {
        const bool room = lengths >> 32 != 0;
        kept_ = room ? SlotState::taken : SlotState::reserved;
        if (!room) caller = std::exchange(client, nullptr);
    }
    // The thread whose request was queued or taken.
    Thread* waiter() const { return caller != nullptr ? caller : client; }

private:
    friend struct AssemblyOffsets;
    SlotState kept_ = SlotState::free;  // `reserved` while there is a `caller`
};

// The requests that no server thread has taken, in order.
class RequestQueue {
public:
    bool empty() const { return slots_.empty(); }
    // The slot's priority stays as it is while it is here.
    void push_back(RequestSlot& slot) {
        slots_.push_back(slot);
        priorities_.add(slot.priority);
    }
    void remove(RequestSlot& slot) {
        slots_.remove(slot);
        priorities_.remove(slot.priority);
    }
    // The first, or null.
    RequestSlot* pop_front() {
        RequestSlot* slot = slots_.front();
        if (slot != nullptr) remove(*slot);
        return slot;
    }
    // Of the most urgent; 0: it is empty.
    uint8_t highest_priority() const { return priorities_.highest(); }

private:
    IntrusiveList<RequestSlot, SlotQueue> slots_;
    PriorityCounts priorities_;
};

enum class TableState : uint8_t { live, faulted, dead };

class Table final : public Object {
public:
    // Errors as in abi::operations.h. The landing slots are reserved in `landing`, the handle table
    // of the process that makes the table.
    static Result<Ref<Table>> create(Budget& budget, uint64_t slots, uint64_t block,
                                     MemoryObject* memory, uint64_t offset, Process& landing);

    // Pins up to chunk_items pages of the blocks; true when all are. Until then nobody may see the
    // table. Errors as for MemoryObject::pin.
    Result<bool> pin_some();

    // A served object, paid by `payer`. faulted.
    Result<Ref<ServedObject>> create_object(Budget& payer, uint64_t cookie);
    // The budget of the process that sent a taken request. not_found.
    Result<Budget*> client_budget(uint64_t request_id);
    // The key of who pays for an object of this table. not_found: it is another's, or has ended.
    Result<uint64_t> client_key(const ServedObject& object);

    // The `call` system call on a served object; the message is in client.message. Returns when the
    // call failed at once (message set); otherwise the client blocks.
    static void call(Thread& client, ServedObject& object, abi::Rights rights);

    // The `reply_and_wait` system call; the message is in server.message. Returns (message set)
    // when there is something to return at once.
    void reply_and_wait(Thread& server);

    // Ends the table: every request completes with `status`, in chunks by the reaper.
    // `unreferenced`: nobody can reach it any more; then its memory goes, too.
    void end(TableState state, Status status, bool unreferenced = false);

    // The deadline of a thread that waits at some table passed (timed_out), or it is being killed:
    // takes it out of the table and sets its message. False: it does not wait at one (any more), or
    // in a later wait than that whose deadline passed.
    static bool cancel(Thread& thread, Error error);
    // True while the thread waits for a request.
    static bool waits(const Thread& server);
    // A thread dies or turns to another table: it leaves the list of servers it may stand in.
    static void leave_serving_list(Thread& thread);

    // --- for SemaphoreSet::bind and unbind, and for a bound set, under its lock

    // faulted or server_died: the table ended. busy: it has a set.
    Result<void> set_events(SemaphoreSet* set, bool ready);
    void forget_events();
    // Whether the set has events. True: it has, and a server thread waits that was not told.
    [[nodiscard]] bool note_events(bool ready);
    // Ends the wait of a server thread, to be made ready; null: none waits.
    Thread* grant_event(const SetEventTaken& event);
    bool has_waiting_server();
    // The same for an operation of a ring: a request whose client is not a thread. It is in the
    // caller's hands; from here on it is ended or waits. No locks.
    void begin(RingOperation& operation);
    // Its turn after it waited for a slot.
    static void submit_granted(RingOperation& operation);
    // The winner of its wait takes it out of the table. What it ends with: `error`, or
    // unknown_outcome when a server has it.
    Status cancel(RingOperation& operation, Error error);

    struct Counts {
        uint32_t slots, free, queued, taken, orphans, clients;
    };
    Counts counts();

    uint32_t epoch() const { return epoch_; }

    Table(Budget* payer, uint32_t size);
    static const ObjectKind kind_table;

private:
    friend struct TableEnd;
    friend struct ServedEnd;
    friend struct AssemblyOffsets;

    // Holds the lock with the door shut.
    class SCOPED_LOCK_TYPE Guard {
    public:
        explicit Guard(Table& table) ACQUIRES(table.lock_) : table_(table) {
            table_.lock_.lock();
            table_.close_door_locked();
        }
        ~Guard() RELEASES() {
            table_.open_door_locked();
            table_.lock_.unlock();
        }
        Guard(const Guard&) = delete;
        Guard& operator=(const Guard&) = delete;

    private:
        Table& table_;
    };
    void close_door_locked() REQUIRES(lock_);
    void open_door_locked() REQUIRES(lock_);
    // The one predicate for the fast paths: nothing is left to do but to hand on requests.
    bool plain_locked() const REQUIRES(lock_);

    // table.cpp: slots and accounts
    void set_first_free(uint32_t head) {
        Guard guard(*this);
        free_head_ = head;
    }
    std::byte* block_at(uint32_t slot, uint64_t offset) const;
    uint32_t index_of(const RequestSlot& slot) const {
        return static_cast<uint32_t>(&slot - slots_);
    }
    // The slot of that request, or null.
    RequestSlot* slot_of(uint64_t request_id) const {
        const uint32_t index = abi::request_slot(request_id);
        if (index >= slot_count_ || slots_[index].id != request_id) return nullptr;
        return &slots_[index];
    }
    bool over_share_locked(const TableClient& account) const REQUIRES(lock_);
    RequestSlot* take_slot_locked(TableClient& account) REQUIRES(lock_);
    RequestSlot& give_free_slot_locked(TableClient& account) REQUIRES(lock_);
    RequestSlot& give_locked(RequestSlot& slot, TableClient& account) REQUIRES(lock_);
    void free_slot_locked(RequestSlot& slot) REQUIRES(lock_);
    void drop_slot_locked(RequestSlot& slot) REQUIRES(lock_);
    void reserve_slot_locked(Thread& server) REQUIRES(lock_);
    void unreserve_slot_locked(Thread& server) REQUIRES(lock_);
    void admit_clients_locked() REQUIRES(lock_);
    TableClient* find_client_locked(const Budget& budget) REQUIRES(lock_);
    void drop_client_locked(TableClient& client) REQUIRES(lock_);

    // table_call.cpp: the client's side
    void begin(Thread& client, ServedObject& object, abi::Rights rights);
    void submit(Thread& client, RequestSlot& slot, ServedObject& object, abi::Rights rights,
                Ref<ServedObject> held);
    void fill_slot_locked(Thread& client, RequestSlot& slot, const ServedObject& object,
                          abi::Rights rights) REQUIRES(lock_);
    struct Offered {
        Thread* server = nullptr;  // to hand the CPU to
        Status refusal;            // not ok: the request was not accepted
    };
    Offered offer_locked(RequestSlot& slot, ServedObject& object) REQUIRES(lock_);
    static void begin_wait_locked(RequestSlot& slot);
    void left_queue_locked(RequestSlot& slot) REQUIRES(lock_);
    RequestSlot* take_grant(Thread& client);
    Status reachable_locked(const ServedObject& object) const REQUIRES(lock_);
    void wait_for_slot_locked(Thread& client, ServedObject& object, abi::Rights rights)
        REQUIRES(lock_);
    bool copy_in(const Message& message, const RequestSlot& slot);
    bool copy_out(uint64_t buffer, const RequestSlot& slot);
    static void slot_granted(Thread& client);
    static void abandon_granted(Thread& client);
    static void finish_copy_out(Thread& client);
    static void abandon_copy_out(Thread& client);
    static const LongOperation granted_operation;
    static const LongOperation copy_out_operation;

    // table_ring.cpp: the same for operations of rings
    Status check(RingOperation& operation) const;
    void wait_for_slot_locked(RingOperation& operation) REQUIRES(lock_);
    template <typename Copy>
    void copy_parts(const RequestSlot& slot, uint32_t size, Copy copy) const;
    void copy_in(const RingOperation& operation, const RequestSlot& slot) const;
    void submit(RingOperation& operation, RequestSlot& slot);
    Offered offer_locked(RingOperation& operation, RequestSlot& slot) REQUIRES(lock_);
    static void note_offered(RingOperation& operation, const Offered& offered);
    void fill_slot_locked(RingOperation& operation, RequestSlot& slot) REQUIRES(lock_);
    void grant_locked(RingOperation& operation, RequestSlot& slot) REQUIRES(lock_);
    void end_waiting_locked(RingOperation& operation, Status status) REQUIRES(lock_);
    static void client_keeps_handles(RingOperation& operation);
    void copy_out(RingOperation& operation, const RequestSlot& slot) const;

    // table_serve.cpp: the server's side
    static HandleTable& client_handles(const RequestSlot& slot);
    static Result<void> move_request_handles(Thread& server, RequestSlot& slot);
    void deliver_locked(Thread& server, RequestSlot& slot) REQUIRES(lock_);
    bool deliver_next_locked(Thread& server, ServedObject*& closed) REQUIRES(lock_);
    void run_at_highest_locked(Thread& server) REQUIRES(lock_);
    ServedObject* take_close_locked() REQUIRES(lock_);
    void deliver_close_locked(Thread& server, ServedObject& object) REQUIRES(lock_);
    void wait_for_request_locked(Thread& server, uint64_t deadline) REQUIRES(lock_);
    // The server thread that is next, still waiting, or null.
    Thread* next_waiting_locked() REQUIRES(lock_) {
        Thread* server = waiting_.front();
        return server != nullptr ? server : waiting_without_slot_.front();
    }
    // Ends its wait, but for what it is told. It waits.
    void end_wait_locked(Thread& server) REQUIRES(lock_);
    bool cancel_request(Thread& client, RequestSlot& slot, Error error);
    bool cancel_slot_wait(Thread& client, Error error);
    bool cancel_serving(Thread& server, Error error);
    struct Reply {
        Thread* client = nullptr;            // answered, to be made ready
        Status outcome;                      // detail: abi::delivery_* bits
        bool broken = false;                 // the server broke the protocol
        RingOperation* operation = nullptr;  // answered, to be finished by finish_reply()
        RequestSlot* slot = nullptr;         // with bytes for the operation
    };
    Reply reply_locked(Thread& server) REQUIRES(lock_);
    Reply reply_locked(Thread& server, RequestSlot& slot, uint64_t (&words)[abi::message_words])
        REQUIRES(lock_);
    void finish_reply(const Reply& reply);
    struct Claim {
        bool gone = false;  // the client's wait had ended otherwise
        Status failure;     // not ok: its handles cannot arrive, and the client waits on
    };
    static Claim claim_client(Thread& server, RingOperation& operation, uint64_t* words,
                              unsigned mask);
    static Result<void> move_answer_handles(Thread& server, const Thread& client, uint64_t* words,
                                            unsigned mask);
    struct Served {
        enum class Next : uint8_t { fail, deliver, wait, take_event } next = Next::fail;
        Reply reply;
        ServedObject* closed = nullptr;
        Status result;  // fail: what the server sees
    };
    Served serve_locked(Thread& server) REQUIRES(lock_);
    void serve_next_locked(Thread& server, uint64_t deadline, Served& served) REQUIRES(lock_);
    void deliver_event_locked(Thread& server, const SetEventTaken& event) REQUIRES(lock_);
    bool take_event(Thread& server);
    void unbind_events();
    void answer_locked(RequestSlot& slot, Status status) REQUIRES(lock_);
    void boost_locked(uint8_t priority) REQUIRES(lock_);

    static constexpr uint64_t door_closed = WaitingList<Thread>::unlisted;

    SpinLock lock_{LockRank::table};
    // Offsets of these are known to assembly.
    std::atomic<uint64_t> door_{door_closed};  // closed, or the head of `waiting_`
    // Half the slots less those that requests hold: above 0, every client may have another one.
    // Guarded by the door.
    int32_t room_ = 0;
    // The most bytes that a request may have to be copied in the door: what lies in one page.
    uint64_t short_bytes_ = 0;

    TableState state_ = TableState::live;
    bool closed_ GUARDED_BY(lock_) = true;  // the door stays shut between holders
    uint32_t half_ = 0;                     // slots / 2
    RequestSlot* slots_ = nullptr;
    WaitingList<Thread> waiting_ GUARDED_BY(lock_);  // they own a slot each
    IntrusiveList<Thread, TableThreadLink> waiting_without_slot_ GUARDED_BY(lock_);
    IntrusiveList<Thread, TableServerLink> servers_ GUARDED_BY(lock_);  // waiting or at work
    RequestQueue queue_ GUARDED_BY(lock_);
    IntrusiveList<WaitLink, SemaphoreQueueLink> slot_waiters_ GUARDED_BY(lock_);
    IntrusiveList<ServedObject, CloseNotice> closes_ GUARDED_BY(lock_);
    IntrusiveList<ServedObject, RecordOfTable> records_ GUARDED_BY(lock_);
    static constexpr unsigned client_buckets = 16;
    IntrusiveList<TableClient, ClientOfTable> clients_[client_buckets] GUARDED_BY(lock_);
    uint32_t slot_count_ = 0;
    uint32_t free_head_ GUARDED_BY(lock_) = 0;  // index + 1
    uint32_t client_count_ GUARDED_BY(lock_) = 0;
    TableClient former_clients_;  // accounts for orphans whose client is gone
    uint32_t epoch_ = 0;
    uint64_t block_ = 0;
    Status end_status_ GUARDED_BY(lock_);
    bool ending_ GUARDED_BY(lock_) = false;        // the reaper has end_work_
    bool unreferenced_ GUARDED_BY(lock_) = false;  // its record goes when it has ended
    uint32_t end_cursor_ GUARDED_BY(lock_) = 0;
    SemaphoreSet* events_ GUARDED_BY(lock_) = nullptr;  // bound: holds a reference
    bool events_ready_ GUARDED_BY(lock_) = false;
    bool event_next_ GUARDED_BY(lock_) = false;  // a request came last: an event's turn
    Ref<MemoryObject> memory_;
    uint64_t first_page_ = 0, page_count_ = 0, pinned_ = 0;
    Process* landing_ = nullptr;  // holds a reference
    Work end_work_;
    GraceItem end_grace_;
};

// What a thread's `slot` names when it has none: no request is ever in it.
extern RequestSlot no_slot;

}  // namespace annulus::kernel
