// SPDX-License-Identifier: MIT
// Channel: making one, ringing, faulting, and what happens when an end goes.
#include "kernel/object/channel.h"

#include "base/container_of.h"
#include "kernel/object/budget.h"
#include "kernel/object/stock.h"

namespace annulus::kernel {

namespace {

std::atomic<uint64_t> next_channel_id{1};

}  // namespace

struct ChannelParts {
    // Unpins up to chunk_items pages; true when none is pinned any more.
    static bool unpin_some(Channel& channel) {
        const uint64_t count = chunk_of(channel.pinned_);
        if (count > 0) {
            channel.pinned_ -= count;
            channel.memory_->unpin_paid(channel.pinned_, count);
        }
        return channel.pinned_ == 0;
    }

    // The pointer stays: others may have read it just before. What it names lasts until they leave
    // the kernel, without a reference.
    static void let_go(Channel& channel) {
        if (channel.memory_ != nullptr) release(*channel.memory_);
    }

    // Both ends went, or none was handed out.
    static void end_channel(Object& object) {
        auto& channel = static_cast<Channel&>(object);
        if (channel.pinned_ > abi::chunk_items) return end_in_steps(object);
        if (channel.pinned_ > 0) channel.memory_->unpin_paid(0, channel.pinned_);
        let_go(channel);
        channel.budget->disown(channel, channel.pages());
        rest_in_stock(channel, Channel::stock_kind);
    }

    static bool detach_channel(Object& object) {
        auto& channel = static_cast<Channel&>(object);
        channel.unpin_work_.step = unpin_step;
        channel.unpin_work_.priority = abi::priority_count - 1;
        reap(channel.unpin_work_);
        return false;
    }

    static Work::Step unpin_step(Work& work) {
        Channel& channel = container_of(work, &Channel::unpin_work_);
        if (!unpin_some(channel)) return Work::Step::more;
        let_go(channel);
        channel.budget->uncharge(abi::Resource::pins, channel.pages());
        finish_retire(channel);
        return Work::Step::done;
    }

    // The ends die with the channel. One that has gone already, or is just going, does so by
    // itself.
    static void die_channel(Object& object) {
        for (ChannelEnd& end : static_cast<Channel&>(object).ends_) {
            if (!try_retain(end)) continue;
            end_object(end);
            release(end);
        }
    }
    static void destruct_channel(Object& object) { static_cast<Channel&>(object).~Channel(); }

    // The end can ring no more, and is told so.
    static void end_session(ChannelEnd& end) {
        end.bell_.store(nullptr, std::memory_order_release);
        end.ring_last(abi::channel_ended);
    }

    // The last handle of an end went: the other end learns it. When both go at once, each is told.
    static void tell_peer(ChannelEnd& end) {
        if (end.peer_closed()) return;
        ChannelEnd& peer = end.channel_.peer_of(end);
        // Release: pairs with the acquire of whoever was woken by the bell.
        peer.peer_closed_.store(true, std::memory_order_release);
        end_session(peer);
    }

    static void end_end(Object& object) {
        auto& end = static_cast<ChannelEnd&>(object);
        Semaphore::Bound bound;
        if (!end.end_quietly(bound)) return end_in_steps(object);
        tell_peer(end);
        release(end.channel_);
    }
    static bool detach_end(Object& object) {
        auto& end = static_cast<ChannelEnd&>(object);
        tell_peer(end);
        return end.detach();
    }
    static void die_end(Object& object) { static_cast<ChannelEnd&>(object).die(); }
    static void destruct_end(Object&) {}  // with its channel
    static bool unwatch_end(Object& object) { return static_cast<ChannelEnd&>(object).unwatch(); }
    static Object& whole_of_end(Object& object) {
        return static_cast<ChannelEnd&>(object).channel_;
    }

    static void begin_end(ChannelEnd& end, ChannelEnd& peer, Budget& payer) {
        end.begin(payer, SemaphoreMode::binary, 0);
        end.peer_closed_.store(false, std::memory_order_relaxed);
        end.bell_.store(&peer, std::memory_order_relaxed);
    }
};

const ObjectKind Channel::kind_table = {.type = abi::ObjectType::none,
                                        .detach = ChannelParts::detach_channel,
                                        .die = ChannelParts::die_channel,
                                        .destruct = ChannelParts::destruct_channel,
                                        .light = true,
                                        .end = ChannelParts::end_channel,
                                        .stock = Channel::stock_kind};
const ObjectKind ChannelEnd::kind_table = {.type = abi::ObjectType::channel,
                                           .detach = ChannelParts::detach_end,
                                           .die = ChannelParts::die_end,
                                           .destruct = ChannelParts::destruct_end,
                                           .unwatch = ChannelParts::unwatch_end,
                                           .light = true,
                                           .end = ChannelParts::end_end,
                                           .whole = ChannelParts::whole_of_end};

Channel::Channel() : Object(kind_table, nullptr, sizeof(Channel)) {}

void Channel::begin(Budget& payer, const Geometry& geometry) {
    begin_life(payer);
    geometry_ = geometry;
    id_ = next_channel_id.fetch_add(1, std::memory_order_relaxed);
    memory_ = nullptr;
    pinned_ = 0;
    // Relaxed: whoever comes to know the record sees it by way of the handle.
    fault_.store(0, std::memory_order_relaxed);
    ChannelParts::begin_end(ends_[0], ends_[1], payer);
    ChannelParts::begin_end(ends_[1], ends_[0], payer);
}

Result<Ref<Channel>> Channel::create(Budget& budget, MemoryObject& memory,
                                     const Geometry& geometry) {
    if (geometry.offset % abi::page_size != 0) return Status(Error::bad_argument, 1);
    if (geometry.length % abi::page_size != 0 || geometry.length == 0) {
        return Status(Error::bad_argument, 2);
    }
    const uint64_t first = geometry.offset / abi::page_size;
    const uint64_t pages = geometry.length / abi::page_size;
    if (first > memory.pages() || pages > memory.pages() - first) return Error::out_of_range;
    auto* record = take_record<Channel>();
    if (record == nullptr) return Error::no_memory;
    record->begin(budget, geometry);
    const Status owned = budget.own(*record, pages);
    if (!owned.ok()) [[unlikely]] {
        rest_in_stock(*record, stock_kind);
        return owned;
    }
    auto channel = Ref<Channel>::adopt(*record);
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

Result<Semaphore*> ChannelEnd::peer_bell() const {
    if (const Status state = channel_.state(); !state.ok()) return state;
    if (peer_closed()) return Error::closed;
    return static_cast<Semaphore*>(&channel_.peer_of(*this));
}

void ChannelEnd::shut_down(uint32_t reason) {
    if (!channel_.fault(reason)) return;
    if (!peer_closed()) ChannelParts::end_session(channel_.peer_of(*this));
    ChannelParts::end_session(*this);
}

}  // namespace annulus::kernel
