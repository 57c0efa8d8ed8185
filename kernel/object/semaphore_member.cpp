// SPDX-License-Identifier: MIT
// Semaphore as a member of a set: joining, leaving, and what it has to give.
#include "kernel/object/semaphore.h"
#include "kernel/object/semaphore_set.h"
#include "kernel/schedule/scheduler.h"

#include <utility>

namespace annulus::kernel {

bool Semaphore::plain_member_locked() const { return !member_->linked && queue_.empty(); }

uint64_t Semaphore::units_for_set_locked(uint64_t value) const {
    if (mode_ == SemaphoreMode::sequence) return value != member_->last ? 1 : 0;
    // A program may have written anything into the word of a binary semaphore.
    return mode_ == SemaphoreMode::binary && value > 0 ? 1 : value;
}

void Semaphore::note_taken_locked(uint64_t& value) {
    switch (mode_) {
        case SemaphoreMode::sequence: member_->last = value; break;
        case SemaphoreMode::binary: value = 0; break;
        case SemaphoreMode::counting: --value; break;
    }
}

Thread* Semaphore::offer_locked(uint64_t& value) {
    SetMember& member = *member_;
    if (member.linked) return nullptr;
    const uint64_t units = units_for_set_locked(value);
    if (units == 0) return nullptr;
    const auto placed = member.set->place(member, answer_for(value), units);
    if (placed.woken != nullptr) note_taken_locked(value);
    return placed.woken;
}

Thread* Semaphore::leave_closed_locked() {
    SetMember* member = std::exchange(member_, nullptr);
    return member->set->close(*member);
}

void Semaphore::wake(Thread* thread) {
    if (thread == nullptr) return;
    disarm_deadline(*thread);
    make_ready(*thread);
}

Result<void> Semaphore::join(SetMember& member) {
    Thread* woken;
    {
        Guard guard(*this);
        if (dead.load(std::memory_order_relaxed)) return Error::closed;
        if (member_ != nullptr) return Error::busy;
        if (!member.set->attach(member, *this)) return Error::closed;
        member_ = &member;
        uint64_t value = enter_word_locked();
        woken = offer_locked(value);
        leave_word_locked(value);
    }
    wake(woken);
    return {};
}

SetMember* Semaphore::leave(SemaphoreSet& set) {
    Guard guard(*this);
    if (member_ == nullptr || member_->set != &set) return nullptr;
    SetMember* member = std::exchange(member_, nullptr);
    set.unlink(*member);
    // keep is recomputed.
    leave_word_locked(enter_word_locked());
    return member;
}

void Semaphore::leave_ending(SetMember& member) {
    Guard guard(*this);
    if (member_ != &member) return;
    member_ = nullptr;
    member.set->unlink(member);
    // A semaphore that ends touches its word no more: the page may be unpinned.
    if (!dead.load(std::memory_order_relaxed)) leave_word_locked(enter_word_locked());
}

bool Semaphore::take_for_set(SetMember& member, SetEventTaken& event) {
    Thread* woken;
    {
        Guard guard(*this);
        // Removed, or closed, since it was popped: the record is somebody else's now.
        if (member_ != &member) return false;
        member.linked = false;
        uint64_t value = enter_word_locked();
        if (units_for_set_locked(value) == 0) {
            leave_word_locked(value);
            return false;
        }
        event = {member.key, answer_for(value), false};
        note_taken_locked(value);
        woken = offer_locked(value);
        leave_word_locked(value);
    }
    wake(woken);
    return true;
}

Thread* Semaphore::place_again(SetMember& member) {
    Guard guard(*this);
    if (member_ != &member) return nullptr;
    member.linked = false;
    uint64_t value = enter_word_locked();
    Thread* woken = offer_locked(value);
    leave_word_locked(value);
    return woken;
}

}  // namespace annulus::kernel
