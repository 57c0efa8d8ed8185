// SPDX-License-Identifier: MIT
// Operations on channels, and the one that makes them: long, because memory is pinned in chunks.
#include "kernel/object/budget.h"
#include "kernel/object/channel.h"
#include "kernel/syscall/invocation.h"

namespace annulus::kernel {

namespace {

constexpr abi::Rights memory_rights =
    abi::right_of(abi::Verb::get) | abi::right_of(abi::Verb::map) | abi::right_of(abi::Verb::read) |
    abi::right_of(abi::Verb::write);

// The result words of a new channel: a handle to each end, or neither.
struct EndHandles {
    abi::Handle first, second;
};

Result<EndHandles> finish_channel(Process& process, Ref<Channel> channel) {
    auto ends = Channel::hand_out(std::move(channel));
    HandleTable& handles = process.handles;
    const auto enter = [&handles](Ref<ChannelEnd> end) {
        return handles.insert(Ref<Object>::adopt(*end.leak()), abi::all_rights, 0, false);
    };
    const abi::Handle first = TRY(enter(std::move(ends.first)));
    const auto second = enter(std::move(ends.second));
    if (!second.ok()) {
        (void)handles.close(first).ok();
        return second.status();
    }
    return EndHandles{first, *second};
}

// --- budget.create.channel beyond one chunk: progress = the channel

Channel& held_channel(Thread& thread) {
    // Safety: the handler that set the operation up put a Channel* there.
    return *reinterpret_cast<Channel*>(thread.progress[0]);
}

void pin_step(Thread& thread);
void pin_abandon(Thread& thread) { release(held_channel(thread)); }
constexpr LongOperation pin_operation = {pin_step, pin_abandon};

void pin_step(Thread& thread) {
    const auto pinned = held_channel(thread).pin_some();
    if (pinned.ok() && !*pinned) continue_later(thread, pin_operation);
    auto channel = Ref<Channel>::adopt(held_channel(thread));
    if (!pinned.ok()) {
        channel.reset();
        finish_operation(thread, pinned.status());
    }
    const auto ends = finish_channel(*thread.process, std::move(channel));
    if (!ends.ok()) finish_operation(thread, ends.status());
    finish_operation(thread, {}, ends->first, ends->second, 3);
}

}  // namespace

Status budget_create_channel(Invocation& invocation) {
    MemoryObject& memory = *TRY(invocation.operand<MemoryObject>(0));
    if (invocation.words[3] > 0xffffffff) return invocation.bad(3);
    if (invocation.words[4] > 0xffffffff) return invocation.bad(4);
    const Channel::Geometry geometry = {.offset = invocation.words[1],
                                        .length = invocation.words[2],
                                        .structure = static_cast<uint32_t>(invocation.words[3]),
                                        .version = static_cast<uint32_t>(invocation.words[4])};
    auto channel = TRY(Channel::create(invocation.object<Budget>(), memory, geometry));
    if (!TRY(channel->pin_some())) {
        invocation.caller.progress[0] = reinterpret_cast<uint64_t>(channel.leak());
        continue_later(invocation.caller, pin_operation);
    }
    const EndHandles ends = TRY(finish_channel(invocation.process, std::move(channel)));
    invocation.set_results(ends.first, ends.second);
    invocation.arrived_mask = 3;
    return {};
}

Status channel_get_geometry(Invocation& invocation) {
    const auto& end = invocation.object<ChannelEnd>();
    const Channel::Geometry& geometry = end.channel().geometry();
    invocation.set_results(geometry.length, geometry.structure, geometry.version, end.number(),
                           end.channel().id());
    return {};
}

Status channel_get_state(Invocation& invocation) {
    const auto& end = invocation.object<ChannelEnd>();
    const Status state = end.channel().state();
    invocation.set_results(end.peer_closed() ? 1 : 0, state.ok() ? 0 : 1, state.extra());
    return {};
}

Status channel_get_memory(Invocation& invocation) {
    auto memory = TRY(invocation.object<ChannelEnd>().channel().memory());
    invocation.set_results(0);
    return invocation.give(0, std::move(memory), memory_rights).status();
}

Status channel_shutdown_fault(Invocation& invocation) {
    const uint64_t reason = invocation.words[0];
    if (reason > 0xffffffff) return invocation.bad(0);
    invocation.set_results(0);
    invocation.object<ChannelEnd>().shut_down(static_cast<uint32_t>(reason));
    return {};
}

}  // namespace annulus::kernel
