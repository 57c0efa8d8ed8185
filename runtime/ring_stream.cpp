// SPDX-License-Identifier: MIT
// A stream over a ring.
#include "runtime/ring_stream.h"

#include "abi/stream.h"

#include <string.h>

#include <algorithm>
#include <utility>

namespace annulus {

namespace {

constexpr uint32_t entries = 4;  // a read and a write, and room to spare
constexpr uint16_t buffers_index = 0;

}  // namespace

Result<RingStream> RingStream::create(ObjectReference object, Ahead ahead, uint32_t pages) {
    const BudgetReference budget = program_state.budget;
    const ProcessReference process = program_state.process;
    if (budget.value() == 0 || process.value() == 0) return Error::not_granted;
    if (pages == 0 || pages > abi::ring_memory_pages_max / 2) return Status(Error::bad_argument, 2);
    ClientRing ring = TRY(ClientRing::create(budget, process, entries));
    const Memory memory = TRY(budget.create_memory(pages * 2, 0));
    TRY(ring.handle().set_register(buffers_index, memory, 0, pages * 2));
    const uint64_t begin =
        TRY(process.map(memory, 0, pages * 2 * abi::page_size, 0, abi::map_read | abi::map_write));
    // Safety: fresh memory of this size was just mapped there.
    auto* buffers = reinterpret_cast<std::byte*>(begin);
    return RingStream(object, ahead, std::move(ring), buffers, pages * uint32_t{abi::page_size});
}

RingStream::RingStream(RingStream&& other)
    : object_(other.object_),
      ahead_(other.ahead_),
      ring_(std::move(other.ring_)),
      buffers_(std::exchange(other.buffers_, nullptr)),
      size_(other.size_),
      most_(other.most_),
      sides_{other.sides_[reading], other.sides_[writing]} {}

RingStream::~RingStream() {
    if (buffers_ == nullptr) return;
    // What is under way goes on in the memory, which the ring holds, not in this mapping of it.
    // Safety: nobody else was handed the address.
    static_cast<void>(
        program_state.process.map_unmap(reinterpret_cast<uint64_t>(buffers_), uint64_t{size_} * 2));
}

Result<void> RingStream::start(Way way) {
    Side& side = sides_[way];
    abi::SubmissionEntry* entry = ring_.prepare();
    if (entry == nullptr) return Error::try_again;
    *entry = way == reading
                 ? ring_read(object_, 0, {buffers_index, 0, size_}, reading)
                 : ring_write(object_, 0, {buffers_index, side.begin, std::min(side.left, most_)},
                              writing);
    if (TRY(ring_.submit()) == 0) return Error::try_again;
    side.under_way = true;
    return {};
}

// Waits for the end of one of the two.
Result<void> RingStream::collect(Deadline deadline) {
    const abi::CompletionEntry done = TRY(ring_.take(deadline));
    const bool was_read = done.user_data == reading;
    end(sides_[was_read ? reading : writing], done);
    return {};
}

void RingStream::end(Side& side, const abi::CompletionEntry& done) {
    side.under_way = false;
    if (done.ok() && done.user_data == writing) return end_write(done.count);
    if (done.ok()) {
        side.begin = 0;
        side.left = std::min(done.count, size_);
    } else if (done.user_data == reading || !offers_less(done)) {
        side.left = 0;
        side.failure = Status(done.code(), done.detail(), done.count);
    }
}

// The kernel refuses more than a block of the server's table, and says how large that is.
bool RingStream::offers_less(const abi::CompletionEntry& done) {
    if (done.code() != Error::limit || done.count == 0 || done.count >= most_) return false;
    most_ = done.count;
    return true;
}

void RingStream::end_write(uint32_t taken) {
    Side& side = sides_[writing];
    // The protocol promises at least one byte, and no more than was offered.
    if (taken == 0 || taken > std::min(side.left, most_)) {
        side.left = 0;
        side.failure = Error::faulted;
        return;
    }
    side.begin += taken;
    side.left -= taken;
}

Result<size_t> RingStream::read(std::span<std::byte> bytes, Deadline deadline) {
    if (bytes.empty()) return size_t{0};
    Side& side = sides_[reading];
    while (side.left == 0) {
        if (!side.under_way) TRY(start(reading));
        TRY(collect(deadline));
        if (side.under_way) continue;  // it was the write that ended
        if (!side.failure.ok()) return std::exchange(side.failure, Status());
        if (side.left == 0) return size_t{0};
    }
    const size_t count = std::min<size_t>(bytes.size(), side.left);
    memcpy(bytes.data(), buffers_ + side.begin, count);
    side.begin += static_cast<uint32_t>(count);
    side.left -= static_cast<uint32_t>(count);
    // Without success the next read starts it.
    if (side.left == 0 && ahead_ == Ahead::yes) static_cast<void>(start(reading));
    return count;
}

Result<void> RingStream::finish_write(Deadline deadline) {
    Side& side = sides_[writing];
    while (side.left != 0) {
        if (!side.under_way) TRY(start(writing));
        TRY(collect(deadline));
    }
    return std::exchange(side.failure, Status());
}

Result<size_t> RingStream::write_some(std::span<const std::byte> bytes, Deadline deadline) {
    TRY(finish_write(deadline));
    if (bytes.empty()) return size_t{0};
    Side& side = sides_[writing];
    const size_t count = std::min<size_t>(bytes.size(), size_);
    side.begin = size_;
    side.left = static_cast<uint32_t>(count);
    memcpy(buffers_ + side.begin, bytes.data(), count);
    const auto started = start(writing);
    if (!started.ok()) {
        side.left = 0;
        return started.status();
    }
    return count;
}

Result<void> RingStream::sync(Deadline deadline) {
    TRY(finish_write(deadline));
    return Stream(object_.value()).sync(deadline);
}

}  // namespace annulus
