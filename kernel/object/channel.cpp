// SPDX-License-Identifier: MIT
// Channel: making one, ringing, faulting, and what happens when an end goes.
#include "kernel/object/channel.h"

#include "base/container_of.h"
#include "kernel/object/budget.h"

namespace annulus::kernel {

namespace {

std::atomic<uint64_t> next_channel_id{1};

}  // namespace

struct ChannelParts {
    // Unpins up to chunk_items pages; true when none is pinned any more.
    static bool unpin_some(Channel& channel) {
        const uint64_t count =
            channel.pinned_ < abi::chunk_items ? channel.pinned_ : abi::chunk_items;
        if (count > 0) {
            channel.pinned_ -= count;
            channel.memory_->unpin(*channel.budget, channel.pinned_, count);
        }
        return channel.pinned_ == 0;
    }

    // The pointer stays: others may have read it just before. What it names lasts until they leave
    // the kernel, without a reference.
    static void let_go(Channel& channel) {
        if (channel.memory_ != nullptr) release(*channel.memory_);
    }

    static bool detach_channel(Object& object) {
        auto& channel = static_cast<Channel&>(object);
        if (unpin_some(channel)) {
            let_go(channel);
            return true;
        }
        channel.unpin_work_.step = unpin_step;
        channel.unpin_work_.priority = abi::priority_count - 1;
        reap(channel.unpin_work_);
        return false;
    }

    static Work::Step unpin_step(Work& work) {
        Channel& channel = container_of(work, &Channel::unpin_work_);
        if (!unpin_some(channel)) return Work::Step::more;
        let_go(channel);
        finish_retire(channel);
        return Work::Step::done;
    }

    static void die_channel(Object&) {}
    static void destruct_channel(Object& object) { static_cast<Channel&>(object).~Channel(); }

    static void link(ChannelEnd& first, ChannelEnd& second, Channel& channel) {
        for (ChannelEnd* end : {&first, &second}) {
            retain(channel);
            end->channel_.store(&channel, std::memory_order_release);
        }
        first.peer_.store(&second, std::memory_order_release);
        second.peer_.store(&first, std::memory_order_release);
        first.bell_.store(&second, std::memory_order_release);
        second.bell_.store(&first, std::memory_order_release);
    }

    // The end can ring no more, and is told so.
    static void end_session(ChannelEnd& end) {
        end.bell_.store(nullptr, std::memory_order_release);
        end.ring_last(abi::channel_ended);
    }

    // The last handle of an end went: the other end learns it.
    static bool detach_end(Object& object) {
        auto& end = static_cast<ChannelEnd&>(object);
        ChannelEnd* peer = end.peer_.exchange(nullptr, std::memory_order_acq_rel);
        if (peer != nullptr) {
            peer->peer_.store(nullptr, std::memory_order_release);
            // Release: pairs with the acquire of whoever was woken by the bell.
            peer->peer_closed_.store(true, std::memory_order_release);
            end_session(*peer);
        }
        Channel* channel = end.channel_.exchange(nullptr, std::memory_order_acq_rel);
        const bool done = end.detach();
        if (channel != nullptr) release(*channel);
        return done;
    }
    static void die_end(Object& object) { static_cast<ChannelEnd&>(object).die(); }
    static void destruct_end(Object& object) { static_cast<ChannelEnd&>(object).~ChannelEnd(); }
    static bool unwatch_end(Object& object) { return static_cast<ChannelEnd&>(object).unwatch(); }
};

const ObjectKind Channel::kind_table = {.type = abi::ObjectType::none,
                                        .detach = ChannelParts::detach_channel,
                                        .die = ChannelParts::die_channel,
                                        .destruct = ChannelParts::destruct_channel,
                                        .light = true};
const ObjectKind ChannelEnd::kind_table = {.type = abi::ObjectType::channel,
                                           .detach = ChannelParts::detach_end,
                                           .die = ChannelParts::die_end,
                                           .destruct = ChannelParts::destruct_end,
                                           .unwatch = ChannelParts::unwatch_end,
                                           .light = true};

Channel::Channel(Budget* payer, uint32_t size, const Geometry& geometry)
    : Object(kind_table, payer, size),
      geometry_(geometry),
      id_(next_channel_id.fetch_add(1, std::memory_order_relaxed)) {}

Result<Ref<Channel>> Channel::create(Budget& budget, MemoryObject& memory,
                                     const Geometry& geometry) {
    if (geometry.offset % abi::page_size != 0) return Status(Error::bad_argument, 1);
    if (geometry.length % abi::page_size != 0 || geometry.length == 0) {
        return Status(Error::bad_argument, 2);
    }
    const uint64_t first = geometry.offset / abi::page_size;
    const uint64_t pages = geometry.length / abi::page_size;
    if (first > memory.pages() || pages > memory.pages() - first) return Error::out_of_range;
    auto channel = TRY(budget.create<Channel>(geometry));
    if (pages == memory.pages()) {
        // Merely looked up: its last handle may just have been closed.
        if (!try_retain(memory)) return Status(Error::bad_handle, 0, 1);
        channel->memory_ = &memory;
    } else {
        // Whoever holds an end gets a handle to the memory: not to more than the channel's.
        channel->memory_ = TRY(memory.create_range(budget, geometry.offset, pages)).leak();
    }
    return channel;
}

Result<bool> Channel::pin_some() {
    const uint64_t left = geometry_.length / abi::page_size - pinned_;
    const uint64_t count = left < abi::chunk_items ? left : abi::chunk_items;
    TRY(memory_->pin(*budget, pinned_, count));
    pinned_ += count;
    return count == left;
}

Result<Ref<MemoryObject>> Channel::memory() {
    if (memory_->dead.load(std::memory_order_acquire) || !try_retain(*memory_)) {
        return Error::closed;
    }
    return Ref<MemoryObject>::adopt(*memory_);
}

bool Channel::fault(uint32_t reason) {
    uint64_t none = 0;
    // Acquire-release: whoever sees the fault sees what was done before; the first one counts.
    return fault_.compare_exchange_strong(none, Status(Error::faulted, 0, reason).bits,
                                          std::memory_order_acq_rel);
}

// Acquire: pairs with the release in fault().
Status Channel::state() const { return Status(fault_.load(std::memory_order_acquire)); }

ChannelEnd::ChannelEnd(Budget* payer, uint32_t size, unsigned number)
    : Semaphore(kind_table, payer, size, SemaphoreMode::binary), number_(number) {
    bell_.store(nullptr, std::memory_order_relaxed);
}

Result<ChannelEnd::Pair> ChannelEnd::create(Budget& budget, Ref<Channel> channel) {
    Pair pair;
    pair.first = TRY(budget.create<ChannelEnd>(0u));
    pair.second = TRY(budget.create<ChannelEnd>(1u));
    ChannelParts::link(*pair.first, *pair.second, *channel);
    return pair;
}

Result<Semaphore*> ChannelEnd::peer_bell() const {
    const Channel* channel = this->channel();
    if (channel == nullptr) return Error::closed;
    if (const Status state = channel->state(); !state.ok()) return state;
    ChannelEnd* peer = peer_.load(std::memory_order_acquire);
    if (peer == nullptr) return Error::closed;
    return static_cast<Semaphore*>(peer);
}

Result<void> ChannelEnd::shut_down(uint32_t reason) {
    Channel* channel = this->channel();
    if (channel == nullptr) return Error::closed;
    if (!channel->fault(reason)) return {};
    ChannelEnd* peer = peer_.load(std::memory_order_acquire);
    if (peer != nullptr) ChannelParts::end_session(*peer);
    ChannelParts::end_session(*this);
    return {};
}

}  // namespace annulus::kernel
