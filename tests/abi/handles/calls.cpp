// SPDX-License-Identifier: MIT
// The system calls beside `call`, with handles that must be refused: closed, of the wrong type,
// revoked, without the right. A refused call has neither given nor taken anything.

#include "abi/ring.h"
#include "abi/system_call.h"
#include "tests/abi/handles/checks.h"
#include "tests/guest/ledger.h"

#include <array>
#include <bit>

namespace annulus::test::cases {
namespace {

using abi::ObjectType;

// A semaphore that calls which take two handles use beside the one under test.
abi::Handle partner = abi::no_handle;
constexpr uint64_t partner_units = 1'000'000;

// One place where one of the calls takes a handle. `attempt` never blocks: the objects of the right
// type have units, or it polls.
struct Place {
    const char* name;
    abi::Rights right;
    uint32_t types;    // bit i: takes objects of type i
    ObjectType worth;  // the one to try it with
    abi::Status (*attempt)(abi::Handle handle);
};

constexpr uint32_t one(ObjectType type) { return 1u << static_cast<unsigned>(type); }
constexpr uint32_t bells = one(ObjectType::semaphore) | one(ObjectType::channel);
constexpr uint32_t waitable = bells | one(ObjectType::set);

abi::Status serve(abi::Handle handle) {
    return system::reply_and_wait(handle, 0, {}, abi::deadline_poll).status;
}
abi::Status only_reply(abi::Handle handle) {
    return system::reply_and_wait(handle, 0, {}, abi::deadline_never, abi::reply_only).status;
}
abi::Status enter(abi::Handle handle) { return system::enter(handle).status; }
abi::Status wait_for_ever(abi::Handle handle) {
    return system::wait(handle, 0, abi::deadline_never).status;
}
abi::Status poll(abi::Handle handle) { return system::wait(handle, 0, abi::deadline_poll).status; }
abi::Status wait_with_array(abi::Handle handle) {
    std::array<abi::SetEvent, 2> events;
    return system::short_call(abi::SystemCall::wait, handle,
                              reinterpret_cast<uint64_t>(events.data()),  // Safety: polls, so the
                              abi::deadline_poll, events.size())          // array outlives the call
        .status;
}
abi::Status wait_any_last(abi::Handle handle) {
    const std::array<abi::WaitEntry, 2> entries = {{{partner, 0}, {handle, 0}}};
    return system::wait_any(entries.data(), entries.size(), abi::deadline_poll).status;
}
abi::Status signal(abi::Handle handle) { return system::signal(handle); }
abi::Status signal_then_wait(abi::Handle handle) {
    return system::signal_and_wait(handle, partner, abi::deadline_never);
}
abi::Status wait_after_signal(abi::Handle handle) {
    return system::signal_and_wait(partner, handle, abi::deadline_poll);
}

constexpr Place places[] = {
    {"reply_and_wait", abi::right_serve, one(ObjectType::table), ObjectType::table, serve},
    {"reply_and_wait without waiting", abi::right_serve, one(ObjectType::table), ObjectType::table,
     only_reply},
    {"enter", abi::right_enter, one(ObjectType::ring), ObjectType::ring, enter},
    {"wait", abi::right_wait, waitable, ObjectType::semaphore, wait_for_ever},
    {"wait by polling", abi::right_wait, waitable, ObjectType::semaphore, poll},
    {"wait for a channel's bell", abi::right_wait, waitable, ObjectType::channel, poll},
    {"wait on a set", abi::right_wait, waitable, ObjectType::set, poll},
    {"wait with an array", abi::right_wait, waitable, ObjectType::set, wait_with_array},
    {"wait_any", abi::right_wait, bells, ObjectType::semaphore, wait_any_last},
    {"wait_any on a channel", abi::right_wait, bells, ObjectType::channel, wait_any_last},
    {"signal", abi::right_signal, bells, ObjectType::semaphore, signal},
    {"signal of a channel's peer", abi::right_signal, bells, ObjectType::channel, signal},
    {"signal_and_wait, signal", abi::right_signal, bells, ObjectType::semaphore, signal_then_wait},
    {"signal_and_wait, wait", abi::right_wait, waitable, ObjectType::semaphore, wait_after_signal},
    {"signal_and_wait, wait on a set", abi::right_wait, waitable, ObjectType::set,
     wait_after_signal},
};

// The handle was good: the call did its work, or found nothing to do.
bool reached(abi::Status status) { return status.ok() || status.code() == abi::Error::timed_out; }

// Tries places and counts; notes the first wrong answer.
class Trial {
public:
    Trial(Context& test, SemaphoreReference semaphore) : test_(test), semaphore_(semaphore) {}

    // Code and, of no_right, the missing bit; and neither semaphore has changed.
    void refused(const Place& place, abi::Handle handle, abi::Status wanted, const char* what) {
        ++count_;
        const uint64_t before = units();
        const abi::Status status = place.attempt(handle);
        if (status.code() != wanted.code() || status.detail() != wanted.detail()) {
            test_.fail("{}, {}: {} (detail {}), not {} (detail {})", place.name, what,
                       abi::name_of(status.code()), status.detail(), abi::name_of(wanted.code()),
                       wanted.detail());
        }
        if (units() != before) test_.fail("{}, {}: a unit moved", place.name, what);
    }
    void works(const Place& place, abi::Handle handle, const char* what) {
        ++count_;
        const abi::Status status = place.attempt(handle);
        if (!reached(status)) {
            test_.fail("{}, {}: {}", place.name, what, abi::name_of(status.code()));
        }
    }
    uint64_t count() const { return count_; }

private:
    uint64_t units() const {
        const auto value = [](SemaphoreReference of) {
            const auto state = of.get_state();
            return state.ok() ? state->value : 0;
        };
        return value(semaphore_) * 3 + value(SemaphoreReference(partner));
    }

    Context& test_;
    SemaphoreReference semaphore_;
    uint64_t count_ = 0;
};

// Objects that the places may use up.
struct Objects {
    Semaphore semaphore;
    Semaphore beside;
    BudgetChannel channel;
    Set set;
    Table table;
    Memory queues;
    Ring ring;

    abi::Handle of(ObjectType type) const {
        switch (type) {
            case ObjectType::semaphore: return semaphore.value();
            case ObjectType::channel: return channel.first.value();
            case ObjectType::set: return set.value();
            case ObjectType::table: return table.value();
            default: return ring.value();
        }
    }
};

Result<Objects> make_objects(BudgetReference budget) {
    Objects made;
    made.semaphore = TRY(budget.create_semaphore(abi::semaphore_counting, partner_units, {}, 0));
    made.beside = TRY(budget.create_semaphore(abi::semaphore_counting, partner_units, {}, 0));
    const Memory shared = TRY(budget.create_memory(1, 0));
    made.channel = TRY(budget.create_channel(shared, 0, abi::page_size, 1, 1));
    made.set = TRY(budget.create_set(1));
    made.table = TRY(budget.create_table(2, 0, {}, 0));
    made.queues = TRY(budget.create_memory(1, 0));
    made.ring = TRY(budget.create_ring(8, made.queues, 0, abi::ring_allow_all));
    return made;
}

// A handle that the kernel may have remembered as the one used last is as dead as others.
void try_closed(Trial& trial, const Place& place, abi::Handle good) {
    Stale stale[stale_count];
    make_stale(good, stale);
    for (const Stale& none : stale) {
        trial.refused(place, none.value, abi::Error::bad_handle, none.what);
    }
    Object used = duplicate(good, abi::all_rights);
    const abi::Handle value = used.value();
    trial.works(place, value, "a duplicate");
    trial.works(place, value, "a duplicate again");
    used = Object();
    trial.refused(place, value, abi::Error::bad_handle, "closed after use");
}

void try_revoked(Trial& trial, const Place& place, abi::Handle good) {
    const ObjectReference object(good);
    auto lent = object.get_duplicate(abi::all_rights, abi::duplicate_revocable);
    if (!lent.ok()) return trial.works(place, abi::no_handle, "cannot be lent");
    trial.works(place, lent->handle.value(), "a revocable duplicate");
    trial.works(place, lent->handle.value(), "a revocable duplicate again");
    if (!object.close_revoke(lent->lease).ok()) {
        return trial.works(place, abi::no_handle, "cannot be revoked");
    }
    trial.refused(place, lent->handle.value(), abi::Error::revoked, "revoked after use");
    trial.works(place, good, "after a revocation of another handle");
}

void try_rights(Trial& trial, const Place& place, abi::Handle good) {
    const auto bit = static_cast<uint16_t>(std::countr_zero(place.right));
    const Object bare = duplicate(good, abi::all_rights & ~place.right);
    trial.refused(place, bare.value(), abi::Status(abi::Error::no_right, bit),
                  "all rights but the one");
    const Object none = duplicate(good, 0);
    trial.refused(place, none.value(), abi::Status(abi::Error::no_right, bit), "no rights");
    const Object just = duplicate(good, place.right);
    trial.works(place, just.value(), "its right alone");
    trial.refused(place, bare.value(), abi::Status(abi::Error::no_right, bit),
                  "all rights but the one, after one that has it");
}

}  // namespace
}  // namespace annulus::test::cases

TEST(system_calls,
     "every system call refuses closed, wrong, revoked and powerless handles, and moves nothing") {
    const Specimens* specimens = Specimens::get(test);
    if (specimens == nullptr) return;
    const auto objects = MUST(make_objects(test.budget()));
    partner = objects.beside.value();
    Trial trial(test, objects.semaphore);
    for (const Place& place : places) {
        const abi::Handle good = objects.of(place.worth);
        trial.works(place, good, "a good handle");
        try_closed(trial, place, good);
        try_revoked(trial, place, good);
        try_rights(trial, place, good);
        for (const ObjectType type : specimen_types) {
            if ((place.types & one(type)) != 0) continue;
            trial.refused(place, specimens->of(type), abi::Error::wrong_type, abi::name_of(type));
            const Object powerless = duplicate(specimens->of(type), 0);
            trial.refused(place, powerless.value(), abi::Error::wrong_type,
                          "of the wrong type, without rights");
        }
        if (test.failed()) break;
    }
    report_count("system_call_checks", trial.count());
}
