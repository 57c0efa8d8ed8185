// SPDX-License-Identifier: MIT
// One end of a channel in this process: its memory mapped, its bells, its end. What the typed
// channels of runtime/channel.h have in common.
#pragma once

#include "base/untrusted.h"
#include "channel/fault.h"
#include "channel/geometry.h"
#include "channel/ring_end.h"
#include "runtime/deadline.h"
#include "runtime/program_state.h"

#include <utility>

namespace annulus {

// Rings the peer. An error (the peer is gone, the channel was shut down) is not lost: it shows when
// this side waits, since both ring this side's bell.
struct ChannelBell {
    ChannelReference end;

    void ring() const { static_cast<void>(system::signal(end.value())); }
};

// Who pays for a channel and where it is mapped; by default what this program was handed. Flags of
// its memory: abi::memory_contiguous if a device is to reach it.
struct ChannelPlace {
    BudgetReference budget = program_state.budget;
    ProcessReference process = program_state.process;
    uint64_t memory_flags = 0;
};

// Owns the handle of an end and the mapping of its memory. Move-only. Used by one thread at a time.
class ChannelEnd {
public:
    struct Made;

    // A new channel over fresh memory: this side's end, mapped, and the peer's, to be handed over.
    // not_granted: no budget or process; bad_argument: the geometry is beyond a limit; no_budget.
    static Result<Made> create(channel::Geometry geometry, const ChannelPlace& place = {});

    // What an end holds, before anything is mapped: a server compares it with what it is willing to
    // map for a client. wrong_type: no channel's end at all; wrong_version: not `structure`, not
    // this version, or not its length.
    static Result<channel::Geometry> geometry_of(ChannelReference end,
                                                 channel::Structure structure);

    // Maps the memory of an end that a peer made. On success the handle is moved out of `end`.
    // Errors of geometry_of; no_budget: the mapping cannot be reserved.
    static Result<ChannelEnd> attach(Channel& end, channel::Structure structure,
                                     const ChannelPlace& place = {});

    ChannelEnd(ChannelEnd&& other)
        : end_(std::move(other.end_)),
          process_(other.process_),
          memory_(std::exchange(other.memory_, {})),
          geometry_(other.geometry_),
          side_(other.side_),
          ended_(other.ended_),
          fault_reported_(other.fault_reported_) {}
    ChannelEnd& operator=(ChannelEnd&&) = delete;
    ~ChannelEnd();

    // For wait_any, semaphore sets, and shutting down.
    ChannelReference end() const { return end_; }
    ChannelBell bell() const { return {end_}; }
    UntrustedBytes memory() const { return memory_; }
    channel::Geometry geometry() const { return geometry_; }
    channel::Side side() const { return side_; }

    // Ok, or why nothing will come: closed, or faulted with the reason as extra.
    Result<void> state() const;

    // Faults the channel for both ends. Only the first reason counts.
    void shut_down(uint32_t reason) const { static_cast<void>(end_.shutdown_fault(reason)); }

    // What a structure's fault means: shuts the channel down with it, once.
    Status refuse(channel::Fault fault);

    // Sleeps until `ask` (a structure's prepare_wait) answers ready. What the peer published before
    // it closed is still found: closed comes only when there is nothing left. timed_out: the peer
    // may still ring for the request, which does no harm.
    template <typename Ask, typename Reason>
    Result<void> wait(Ask ask, Reason reason, Deadline deadline) {
        for (;;) {
            const channel::Wait answer = ask();
            if (answer == channel::Wait::ready) return {};
            if (answer == channel::Wait::faulted) return refuse(reason());
            // Nobody rings after the ring that said that the channel has ended, so an end that has
            // ended goes on asking.
            if (ended_) {
                const Result<void> now = state();
                if (!now.ok()) return ask() == channel::Wait::ready ? Result<void>() : now.status();
                ended_ = false;
            }
            const auto rung = system::wait(end_.value(), 0, deadline.at);
            if (!rung.status.ok()) return rung.status;
            heard(rung.value);
        }
    }

    // Whoever waits for the bell by other means (wait_any, a set) passes on the value that it got.
    void heard(uint64_t value) {
        if (value == abi::channel_ended) ended_ = true;
    }

private:
    ChannelEnd(Channel end, ProcessReference process, UntrustedBytes memory,
               channel::Geometry geometry, channel::Side side)
        : end_(std::move(end)),
          process_(process),
          memory_(memory),
          geometry_(geometry),
          side_(side) {}

    static Result<UntrustedBytes> map(ChannelReference end, uint64_t length,
                                      ProcessReference process);

    Channel end_;
    ProcessReference process_;
    UntrustedBytes memory_;
    channel::Geometry geometry_;
    channel::Side side_;
    // A ring was heard that said that the channel has ended, or nobody knows: the end may have
    // come with its bell already taken.
    bool ended_ = true;
    bool fault_reported_ = false;
};

struct ChannelEnd::Made {
    ChannelEnd mine;
    Channel theirs;
};

}  // namespace annulus
